"""Workloads against their definitions. Larson is drawn a second time here, from the published
program's text, and must agree with haksim in every size and every owner."""

import math
import os
import subprocess

import simulating

SEED_CLASSES = [2048, 4096, 8192, 16384, 32768]


class Lran2:
    def __init__(self, seed):
        x = abs(math.fmod(150889 - seed, 714025))
        x = int(x)
        self.v = []
        for _ in range(97):
            x = (1366 * x + 150889) % 714025
            self.v.append(x)
        self.x = self.y = (1366 * x + 150889) % 714025

    def draw(self):
        j = self.y % 97
        self.y = self.v[j]
        self.x = (1366 * self.x + 150889) % 714025
        self.v[j] = self.x
        return self.y


class Larson:
    """What larson.cpp does with its chunks; who runs when does not matter to it."""

    def __init__(self, threads, chunks, rounds, low, high, generations, seed):
        self.low, self.high = low, high
        self.per_class = [0] * len(SEED_CLASSES)
        self.remote = self.frees = 0
        main = Lran2(seed)
        count = threads * chunks
        owner = [0] * count
        for i in range(count):
            self.allocate(main)
        for left in range(count, 0, -1):
            main.draw()
        for _ in range(4 * count):
            main.draw()
            self.allocate(main)
        for chain in range(threads):
            self.chain(Lran2(main.draw()), owner[chain * chunks:(chain + 1) * chunks], rounds,
                       generations)

    def allocate(self, random):
        size = self.low + random.draw() % (self.high - self.low)
        self.per_class[next(k for k, b in enumerate(SEED_CLASSES) if size <= b)] += 1

    def chain(self, random, owner, rounds, generations):
        for generation in range(1, generations + 1):
            for _ in range(rounds * len(owner)):
                victim = random.draw() % len(owner)
                self.frees += 1
                self.remote += owner[victim] != generation
                owner[victim] = generation
                self.allocate(random)


def larson(rounds, chunks=500, threads=3, generations=4, **more):
    text = f"larson,rounds={rounds},chunks={chunks},generations={generations}"
    text += "".join(f",{key}={value}" for key, value in more.items())
    return simulating.run("--workload=" + text, f"--threads={threads}", "--geometry=seed",
                          "--route=s2", "--seed=4141")


def test_larson_is_the_published_one():
    result = larson(rounds=1)
    mine = Larson(threads=3, chunks=500, rounds=1, low=2048, high=32768, generations=4, seed=4141)
    counts = result["workload"]["counts"]
    assert [c["block_bytes"] for c in result["classes"]] == SEED_CLASSES, result["classes"]
    assert [c["allocations"] for c in result["classes"]] == mine.per_class, (
        [c["allocations"] for c in result["classes"]], mine.per_class)
    assert counts["remote_frees"] == mine.remote, (counts, mine.remote)
    assert counts["frees"] == counts["allocations"] == mine.frees == 3 * 500 * 4
    assert counts["warm_up_allocations"] == 5 * 1500 and counts["warm_up_frees"] == 4 * 1500
    assert counts["generations"] == 12


def test_larson_remote_fraction():
    """(1 - e^-R) / R, within four standard deviations of what so many chunks can give."""
    for rounds, chunks in ((1, 1000), (10, 200)):
        result = larson(rounds=rounds, chunks=chunks)
        counts = result["workload"]["counts"]
        expected = (1 - math.exp(-rounds)) / rounds
        untouched = math.exp(-rounds)
        chunk_lives = 3 * 4 * chunks
        deviation = math.sqrt(untouched * (1 - untouched) / chunk_lives) / rounds
        found = counts["remote_frees"] / counts["frees"]
        assert abs(found - expected) < 4 * deviation + 0.0005, (rounds, found, expected)


def test_larson_class_shares():
    """Sizes from 2048 to 32767: 0 / 6.7 / 13.3 / 26.7 / 53.3 % of the seed's classes."""
    result = larson(rounds=1, chunks=2000)
    total = sum(c["allocations"] for c in result["classes"])
    expected = [0.0, 0.0667, 0.1333, 0.2667, 0.5333]
    for found, share in zip(result["classes"], expected):
        deviation = math.sqrt(share * (1 - share) / total)
        assert abs(found["allocations"] / total - share) < 4 * deviation + 0.0002, (found, share)
    assert [c["blocks_per_page"] for c in result["classes"]] == [31, 15, 7, 3, 1]


def test_larson_stops_by_operations():
    result = larson(rounds=1, generations=100, operations=1234)
    counts = result["workload"]["counts"]
    # Every chain notices at its next operation.
    assert 1234 <= counts["allocations"] <= 1234 + 2, counts


def test_larson_every_thread_ends_but_main():
    result = larson(rounds=1)
    assert len(result["threads"]) == 1 + 12, len(result["threads"])
    assert result["measures"]["live_bytes_max"] > 0
    assert result["end"] == "done" and result["violations"] == []


def test_mailbox_frees_nothing_at_home():
    result = simulating.run("--workload=mailbox,batch=64,batches=30,queue=3", "--threads=3",
                            "--cores=6", "--route=best")
    counts = result["workload"]["counts"]
    assert counts["allocations"] == counts["frees"] == 3 * 30 * 64, counts
    assert counts["local_frees"] == 0 and counts["batches"] == 90, counts
    by_thread = {t["id"]: t for t in result["threads"]}
    assert len(by_thread) == 7
    for number in range(1, 7):  # consumers and producers in turn
        thread = by_thread[number]
        idle = "allocations" if number % 2 == 1 else "frees"
        assert thread[idle] == 0, thread
    assert result["workload"]["queue"] == 3


def test_mailbox_is_bounded():
    """No more blocks live than fit into the mailbox, the producers' and the consumers' hands."""
    result = simulating.run("--workload=mailbox,batch=50,batches=40,queue=2,min=64,max=64",
                            "--threads=2", "--cores=1", "--route=best")
    assert result["measures"]["live_bytes_max"] <= 64 * 50 * (2 + 2 + 2), result["measures"]


def test_threads_share_the_cores():
    """Four chains on one core take about as long as their work; on four cores less."""
    ends = {}
    for cores in (1, 4):
        result = simulating.run("--workload=larson,chunks=300,generations=2", "--threads=4",
                                f"--cores={cores}", "--geometry=seed", "--route=home")
        machine = result["machine"]
        assert machine["cores"] == cores
        assert machine["end_ns"] * cores >= machine["busy_ns"], machine
        ends[cores] = machine["end_ns"]
    assert ends[4] < ends[1], ends


def test_owners_without_a_core_are_seen():
    """Six threads and main on one core: frees meet owners that are ready and have none; on seven
    cores never."""
    found = {}
    for cores in (1, 7):
        found[cores] = simulating.run("--workload=mailbox,batch=400,batches=60,queue=3",
                                      "--threads=3", f"--cores={cores}", "--route=s2")["machine"]
    frees = 3 * 60 * 400
    assert 0 < found[1]["frees_to_descheduled"] <= frees and found[1]["queued_ns"] > 0, found[1]
    assert found[7]["frees_to_descheduled"] == found[7]["queued_ns"] == 0, found[7]


def workload(text, threads, *more):
    result = simulating.run("--workload=" + text, f"--threads={threads}", "--geometry=seed", *more)
    assert result["end"] == "done" and result["violations"] == [], result["end"]
    return result


def test_pingpong_hands_over_what_it_says():
    for handed in (100, 40, 0):
        result = workload(f"pingpong,batch=50,exchanges=20,handed={handed}", 3, "--route=s2")
        counts = result["workload"]["counts"]
        assert counts["allocations"] == counts["frees"] == 6 * 20 * 50, counts
        assert counts["local_frees"] == 6 * 20 * 50 * (100 - handed) // 100, counts
        assert len(result["threads"]) == 7


def test_adopters_take_turns_and_go_idle():
    """Every second exchange of each of four players wakes one of three adopters: 20 meals, the
    first two adopters eat seven times, the third six times."""
    result = workload("adopters,batch=40,exchanges=10,adopters=3,hunger=25,idle=2", 2,
                      "--route=cda")
    counts = result["workload"]["counts"]
    assert counts["wakings"] == counts["meals"] == 4 * 5, counts
    assert counts["allocations"] == 4 * 10 * 40 and counts["local_frees"] == 20 * 25, counts
    assert counts["adopter_allocations"] == 20 * 25, counts
    eaters = [t["allocations"] for t in result["threads"] if t["id"] > 4]
    assert sorted(eaters) == [6 * 25, 7 * 25, 7 * 25], eaters
    assert sum(t["pages_it_adopted"] for t in result["threads"] if t["id"] > 4) > 0


def test_stop_has_a_silent_producer():
    result = workload("stop,blocks=300,rounds=4", 3, "--route=s2")
    counts = result["workload"]["counts"]
    assert counts["produced"] == 3 * 300 and counts["allocations"] == 3 * 4 * 300, counts
    assert counts["frees"] == counts["produced"] + counts["allocations"], counts
    assert counts["local_frees"] == counts["allocations"], counts
    producer = result["threads"][1]
    assert producer["allocations"] == 900 and producer["frees"] == 0, producer
    assert result["measures"]["held_max"] > result["measures"]["fewest_max"]


def test_reclaimer_only_frees():
    result = workload("reclaimer,live=100,batch=32,queue=2,blocks=1000", 4, "--route=s2")
    counts = result["workload"]["counts"]
    assert counts["allocations"] == counts["frees"] == 4000 and counts["local_frees"] == 0, counts
    reclaimer = result["threads"][1]
    assert reclaimer["frees"] == 4000 and reclaimer["allocations"] == 0, reclaimer


def test_real_threads_do_the_same_operations():
    """What depends on no thread's timing is the same where the workload runs on real threads."""
    # Larson leaves its last blocks to the process's end, as the published program does.
    environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
    for text, threads in (("larson,chunks=200,generations=3", 2),
                          ("pingpong,batch=50,exchanges=30,handed=60", 2),
                          ("adopters,batch=50,exchanges=20,adopters=3,hunger=20,idle=3", 2),
                          ("mailbox,batch=50,batches=20,queue=3", 2),
                          ("stop,blocks=200,rounds=3", 2),
                          ("reclaimer,live=100,batch=32,queue=2,blocks=1000", 3)):
        simulated = workload(text, threads, "--seed=5")["workload"]["counts"]
        done = subprocess.run([os.path.join(os.environ["HAK_BIN_DIR"], "hakload"), text,
                               f"--threads={threads}", "--seed=5"],
                              capture_output=True, text=True, env=environment)
        assert done.returncode == 0, (text, done.stderr)
        real = {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}
        del real["seconds"], real["host_pages"]
        assert simulated == real, (text, simulated, real)


if __name__ == "__main__":
    simulating.run_module()
