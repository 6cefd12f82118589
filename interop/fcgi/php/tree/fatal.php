<?php
// An error that ends the script, before anything was sent or (?after=1) in the middle of the body.
if (isset($_GET['after'])) {
    echo str_repeat("some of the page\n", 1000);
    flush();
}
there_is_no_such_function();
