<?php
header('Content-Type: text/plain');
echo "index of the tree\n";
