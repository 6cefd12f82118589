<?php
// Which script ran, and what was left of the path for it.
header('Content-Type: application/json');
echo json_encode(['file' => basename(__FILE__), 'name' => $_SERVER['SCRIPT_NAME'], 'path_info' => $_SERVER['PATH_INFO'] ?? null,
                  'self' => $_SERVER['PHP_SELF'], 'get' => (object) $_GET, 'user' => $_SERVER['PHP_AUTH_USER'] ?? null]);
