<?php
// Says in a file that it runs, and ends when another file is there: what happens to it meanwhile is the test's business.
touch($_GET['at'] . '.runs');
for ($turn = 0; !file_exists($_GET['at'] . '.go') && $turn < 6000; $turn++) {
    usleep(10000);
    clearstatcache();
}
header('Content-Type: text/plain');
echo "slow, and done\n";
