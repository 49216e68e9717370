#!/usr/bin/perl
# A server on Net::Server::Mail::ESMTP, as a small application would write one: a process for each client, which takes
# every sender and recipient and hands what it accepted to the smart host. beds/libraries.ts starts it.
#
#   net-server-mail.pl PORT SMARTHOST
use strict;
use warnings;
use IO::Socket::INET;
use Net::Server::Mail::ESMTP;
use Net::SMTP;

my ($port, $smart_host) = @ARGV;
$SIG{CHLD} = 'IGNORE';

my $listener = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1)
  or die "port $port: $!";

while (1) {
    my $client = $listener->accept or next; # a child that ends interrupts it
    if (fork) { close $client; next }
    close $listener;
    serve($client);
    exit 0;
}

sub serve {
    my ($client) = @_;
    my $server = Net::Server::Mail::ESMTP->new(socket => $client);
    $server->register('Net::Server::Mail::ESMTP::8BITMIME');
    $server->register('Net::Server::Mail::ESMTP::PIPELINING');
    $server->set_callback(
        RCPT => sub {
            my ($session, $recipient) = @_;
            return (0, 550, 'nobody here') if $recipient =~ /nobody\@local\.example/;
            return 1;
        }
    );
    $server->set_callback(
        'DATA-INIT' => sub {
            my ($session) = @_;
            return (0, 451, 'no data now') if $session->get_sender =~ /nodata\@/;
            return 1;
        }
    );
    $server->set_callback(
        DATA => sub {
            my ($session, $data) = @_;
            return (0, 554, 'not this one') if $session->get_sender =~ /nomessage\@/;
            return onward($session, $data) ? (1, 250, 'taken') : (0, 451, 'the smart host does not take it');
        }
    );
    $server->process;
}

sub onward {
    my ($session, $data) = @_;
    my $smtp = Net::SMTP->new("127.0.0.1:$smart_host", Hello => 'local.example') or return 0;
    my $sent = $smtp->mail($session->get_sender) && $smtp->recipient($session->get_recipients) && $smtp->data($$data);
    $smtp->quit;
    return $sent;
}
