<?php
// A form with files, as PHP itself reads it.
$files = [];
foreach ($_FILES as $name => $file) {
    $files[$name] = ['name' => $file['name'], 'bytes' => $file['size'], 'error' => $file['error'],
                     'sha1' => $file['error'] == 0 ? sha1_file($file['tmp_name']) : null];
}
header('Content-Type: application/json');
echo json_encode(['post' => (object) $_POST, 'files' => (object) $files]);
