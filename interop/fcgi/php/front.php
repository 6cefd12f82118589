<?php
// front: the application of README.md for php-fpm, as a front controller: every path of the site comes here.
declare(strict_types=1);

function hash_body(): array
{
    $in = fopen('php://input', 'rb');
    $context = hash_init('sha1');
    $bytes = hash_update_stream($context, $in);
    return ['bytes' => $bytes, 'sha1' => hash_final($context)];
}

function see(): void
{
    $fields = $params = [];
    foreach ($_SERVER as $name => $value) {
        if (!is_string($value)) {
            continue;                    // argv and PHP's own
        }
        if (str_starts_with($name, 'HTTP_')) {
            $fields[substr($name, 5)] = $value;
        } else {
            $params[$name] = $value;
        }
    }
    $seen = ['method' => $_SERVER['REQUEST_METHOD'], 'uri' => $_SERVER['REQUEST_URI'], 'fields' => (object) $fields,
             'params' => (object) $params, 'body' => hash_body()];
    header('Content-Type: application/json');
    echo json_encode($seen, JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR);
}

function send_large(int $left): void
{
    $block = '';
    for ($i = 0; $i < 65536; $i++) {
        $block .= chr($i % 251);
    }
    header('Content-Type: application/octet-stream');
    while ($left > 0) {
        $n = min($left, strlen($block));
        echo $n == strlen($block) ? $block : substr($block, 0, $n);
        $left -= $n;
    }
}

// The next piece waits until a file says that the last one has arrived.
function send_pieces(string $gate, int $n): void
{
    header('Content-Type: text/plain');
    for ($i = 1; $i <= $n; $i++) {
        echo "piece $i\n";
        flush();
        for ($turn = 0; $i < $n && !file_exists("$gate.$i") && $turn < 6000; $turn++) {
            usleep(10000);
            clearstatcache();
        }
    }
}

parse_str($_SERVER['QUERY_STRING'], $query);
$path = preg_replace('~^/front\.php(?=/)~', '', strtok($_SERVER['REQUEST_URI'], '?'));
switch (strtok($path, '/')) {
    case 'see':
        see();
        break;
    case 'echo':
        header('Content-Type: application/octet-stream');
        header('Content-Length: ' . ($_SERVER['CONTENT_LENGTH'] ?? '0'));
        fpassthru(fopen('php://input', 'rb'));
        break;
    case 'large':
        send_large((int) $query['n']);
        break;
    case 'status':
        http_response_code((int) $query['code']);
        header('Content-Type: text/plain');
        echo "status {$query['code']}\n";
        break;
    case 'redirect':
        header('Location: ' . $query['to']);
        break;
    case 'empty':
        header('Content-Type: text/plain');
        break;
    case 'stderr':
        error_log($query['word']);
        header('Content-Type: text/plain');
        echo "told\n";
        break;
    case 'fields':
        header('Content-Type: text/plain');
        header('X-Long: ' . str_repeat('x', (int) $query['n']));
        header('Set-Cookie: a=1', false);
        header('Set-Cookie: b=2', false);
        break;
    case 'gate':
        send_pieces($query['at'], (int) $query['n']);
        break;
    default:
        http_response_code(404);
}
