<?php
// A counter that lives in a session: the cookie has to go both ways.
session_start();
$_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
header('Content-Type: text/plain');
echo $_SESSION['count'], "\n";
