#!/usr/bin/perl
# perl_app: the application of README.md on Perl's FCGI, one request at a time in each of a few processes.
#
# Descriptor 0 is the listening socket, which they share.
use strict;
use warnings;

use Digest::SHA;
use FCGI;
use IO::Handle;
use JSON::PP;

my $processes = 4;
my $block = pack('C*', map { $_ % 251 } 0 .. 65535);

sub see {
    my ($env, $in) = @_;
    my $hash = Digest::SHA->new(1);
    my ($bytes, $data, %fields, %params) = (0);

    while (read($in, $data, 65536)) {
        $bytes += length $data;
        $hash->add($data);
    }
    for my $name (keys %$env) {
        if ($name =~ /^HTTP_(.*)/s) { $fields{$1} = $env->{$name} } else { $params{$name} = $env->{$name} }
    }
    print "Content-Type: application/json\r\n\r\n", JSON::PP->new->latin1->encode({
        method => $env->{REQUEST_METHOD}, uri => $env->{REQUEST_URI}, fields => \%fields, params => \%params,
        body => { bytes => $bytes, sha1 => $hash->hexdigest } });
}

sub echo {
    my ($in) = @_;
    my $data;

    print "Content-Type: application/octet-stream\r\n\r\n";
    print $data while read($in, $data, 65536);
}

sub large {
    my ($left) = @_;

    print "Content-Type: application/octet-stream\r\n\r\n";
    while ($left > 0) {
        my $n = $left < length $block ? $left : length $block;
        print substr($block, 0, $n) or return;
        $left -= $n;
    }
}

# The next piece waits until a file says that the last one has arrived.
sub pieces {
    my ($request, $gate, $n) = @_;

    print "Content-Type: text/plain\r\n\r\n";
    for my $i (1 .. $n) {
        print "piece $i\n";
        $request->Flush;
        for (my $turn = 0; $i < $n && !-e "$gate.$i" && $turn < 6000; $turn++) {
            select undef, undef, undef, 0.01;
        }
    }
}

sub answer {
    my ($request, $env, $in, $err) = @_;
    my ($path) = $env->{REQUEST_URI} =~ m{^/([^/?]*)};
    my %query = map { split /=/, $_, 2 } split /&/, $env->{QUERY_STRING};
    my $text = "Content-Type: text/plain\r\n\r\n";

    s/%([0-9A-Fa-f]{2})/chr hex $1/ge for values %query;
    if ($path eq 'see') { see($env, $in) }
    elsif ($path eq 'echo') { echo($in) }
    elsif ($path eq 'large') { large($query{n}) }
    elsif ($path eq 'status') { print "Status: $query{code} Told\r\n${text}status $query{code}\n" }
    elsif ($path eq 'redirect') { print "Status: 302 Found\r\nLocation: $query{to}\r\n\r\n" }
    elsif ($path eq 'empty') { print $text }
    elsif ($path eq 'stderr') { print $err "$query{word}\n"; print "${text}told\n" }
    elsif ($path eq 'fields') { print 'X-Long: ', 'x' x $query{n}, "\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n$text" }
    elsif ($path eq 'gate') { pieces($request, $query{at}, $query{n}) }
    else { print "Status: 404 Not Found\r\n$text" }
}

sub serve {
    my ($in, $out, $err, %env) = (IO::Handle->new, IO::Handle->new, IO::Handle->new);
    my $request = FCGI::Request($in, $out, $err, \%env, 0, FCGI::FAIL_ACCEPT_ON_INTR());

    select $out;
    answer($request, \%env, $in, $err) while $request->Accept >= 0;
}

# This process only waits: a signal finds it at once, while one that serves may be deep in a library.
my @children;
$SIG{TERM} = sub { kill 'TERM', @children; exit 0 };
for (1 .. $processes) {
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        $SIG{TERM} = 'DEFAULT';
        serve();
        exit 0;
    }
    push @children, $pid;
}
wait for @children;
