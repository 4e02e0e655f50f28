# words.pl: hashes, strings and sorting; prints one number that is always the same.
use strict;
use warnings;
my ($state, %count, @list) = (12345);
for (1 .. 600_000) {
    $state = ($state * 1103515245 + 12345) % 2147483648;
    my $word = "w" . ($state >> 8) % 90_000;
    $count{$word} .= substr($word x 3, 0, $state % 17);
    push @list, [$word, $_] if $_ % 4 == 0;
}
my @sorted = sort { $a->[0] cmp $b->[0] || $a->[1] <=> $b->[1] } @list;
print scalar(keys %count), " ", $sorted[1000][0], "\n";
