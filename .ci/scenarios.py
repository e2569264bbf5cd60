"""What people fear, played against a release build, with figures: a table of what was measured, and whether it is good enough.

Every scenario has a healthy run of its own beside it. Ends with an error when a figure is not good enough.
"""

import asyncio
import collections
import contextlib
import os
import platform
import random
import sys
import time

from rig import Gateway, Provider, ask, at_rate, chat, image, quantile

RATE = 40
HEALTHY_S = 15
LONG_S = 60
SHORT_S = 40
WORDS = ["word "] * 20

FALLBACK = "second/m"


class Table:
    """Rows of figures; the run is good when all are."""

    def __init__(self):
        self.rows, self.good = [], True

    def add(self, scenario, figure, measured, wanted, good):
        self.rows.append((scenario, figure, measured, wanted, "yes" if good else "**no**"))
        self.good &= good
        print(f"{scenario}: {figure}: {measured} (wanted: {wanted}){'' if good else ' NOT GOOD ENOUGH'}", flush=True)

    def print(self):
        print("\n| scenario | figure | measured | wanted | holds |\n|---|---|---|---|---|")
        for row in self.rows:
            print(f"| {' | '.join(row)} |")


async def good_answer(request):
    """A plain answer after 150 to 350 ms, or a stream of a second."""
    if request.stream:
        await asyncio.sleep(0.1)
        await request.events(WORDS, 0.045)
    else:
        await asyncio.sleep(random.uniform(0.15, 0.35))
        await request.reply("hello")


@contextlib.asynccontextmanager
async def two(behave, first="", second=""):
    """A gateway with two providers: the first behaves so, the second well."""
    async with Provider(behave) as one, Provider(good_answer) as other:
        row = "  {}: {{ base_url: \"{}\", dialect: openai, keys: [{{ value: env.KEY_A }}]{} }}\n"
        yaml = "providers:\n" + row.format("first", one.url, first) + row.format("second", other.url, second)
        async with Gateway(yaml) as gateway:
            yield gateway, one, other


async def load(gateway, seconds, stream=False, headers=()):
    """Requests at a steady rate; afterwards, how they ended, and what was in flight meanwhile."""
    samples, running = [], True

    async def watch():
        while running:
            samples.append(await gateway.metric("requests_in_flight"))
            await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    answers = await at_rate(RATE, seconds, lambda _: chat(gateway, ask("first/m", [FALLBACK], stream), headers))
    running = False
    await watching
    return answers, samples


def lost(answers):
    return sum(not answer.good() for answer in answers)


def ms(seconds):
    return f"{seconds * 1_000:,.0f} ms"


def took(answers, q):
    return quantile([answer.took_s for answer in answers], q)


async def healthy(stream=False):
    async with two(good_answer) as (gateway, _, _):
        return (await load(gateway, HEALTHY_S, stream))[0]


async def overloaded(table):
    """40 % of the answers are 529s, and they come as late as good ones do."""
    name = f"40 % 529s for {LONG_S} s, {RATE} requests/s"
    dice = random.Random(2)

    async def behave(request):
        if dice.random() < 0.4:
            await asyncio.sleep(0.25)
            return await request.status(529)
        await good_answer(request)

    base = took(await healthy(), 0.95)
    async with two(behave) as (gateway, _, _):
        answers, _ = await load(gateway, LONG_S)
    p95 = took(answers, 0.95)
    table.add(name, "requests lost", f"{lost(answers)} of {len(answers):,}", "0", lost(answers) == 0)
    table.add(name, "p95", f"{ms(p95)}, healthy {ms(base)}: {p95 / base:.2f} times", "< 2.5 times", p95 < 2.5 * base)


async def silent(table):
    """The first provider accepts, and never answers. Clients wait 12 s at most."""
    name = f"first provider accepts and never answers, {RATE} requests/s"
    async with two(lambda request: request.silence()) as (gateway, first, _):
        answers, in_flight = await load(gateway, SHORT_S, headers=["x-heliostat-timeout-ms: 12000"])
        left = first.open
    paid = [answer for answer in answers if answer.took_s > 1.0]
    slowest = max(answer.took_s for answer in answers)
    # All that began before the first of them gave up could know nothing.
    known = min((answer.began + answer.took_s for answer in paid), default=0.0)
    late = [answer for answer in paid if answer.began > known]
    after = sum(answer.began > known for answer in answers)
    tail = in_flight[len(in_flight) // 2 :]
    table.add(name, "requests lost", f"{lost(answers)} of {len(answers):,}", "0", lost(answers) == 0)
    table.add(name, "slowest request", f"{slowest:.2f} s", "< 12 s", slowest < 12)
    # The breaker's probes are requests too: one at a time.
    table.add(name, "waited for it after its first timeout", f"{len(late)} of {after:,}", "probes: under 1 %", len(late) < after / 100)
    table.add(name, "in flight in the second half", f"at most {max(tail):.0f}", f"< {RATE}", max(tail) < RATE)
    table.add(name, "connections left open at it", str(left), "0", left == 0)


async def slow_tokens(table):
    """The first provider says 200, and then a word a second for 14 s."""
    name = f"first provider says a word a second, {RATE} streams/s"
    base = took(await healthy(stream=True), 0.99)
    clock = ", network: { timeouts: { slow_stream: { window_ms: 500, min_bytes_per_s: 20 } } }"
    async with two(lambda request: request.events(WORDS[:14], 1.0), first=clock) as (gateway, _, _):
        answers, _ = await load(gateway, SHORT_S, stream=True)
    p99 = took(answers, 0.99)
    table.add(name, "requests lost", f"{lost(answers)} of {len(answers):,}", "0", lost(answers) == 0)
    table.add(name, "p99 of whole streams", f"{ms(p99)}, healthy {ms(base)}: {p99 / base:.2f} times", "< 2 times", p99 < 2 * base)


async def stragglers(table):
    """Two answers in a hundred of the first provider take three seconds longer, and it may be hedged after 600 ms."""
    name = f"two answers in a hundred 3 s late, {RATE} requests/s"

    def behaves():
        dice = random.Random(3)

        async def behave(request):
            if dice.random() < 0.02:
                await asyncio.sleep(3)
            await good_answer(request)

        return behave

    async with two(behaves()) as (gateway, _, _):
        alone, _ = await load(gateway, SHORT_S)
    async with two(behaves(), first=", network: { hedge: { after_ms: 600 } }") as (gateway, _, _):
        answers, _ = await load(gateway, SHORT_S)
        hedges = await gateway.metric("hedges_total")
    p99, without = took(answers, 0.99), took(alone, 0.99)
    table.add(name, "requests lost", f"{lost(answers)} of {len(answers):,}", "0", lost(answers) == 0)
    table.add(name, "p99", f"{ms(p99)}, without hedges {ms(without)}", "< 1.2 s", p99 < 1.2)
    table.add(name, "hedges", f"{hedges:.0f} of {len(answers):,} requests", "at most 5 % and a few", hedges < len(answers) * 0.05 + 10)


async def limited(table):
    """Batches of 12 images, at once, against two keys that take 20 requests a second each and say so."""
    name = "batches of 12 images, two keys of 20 requests/s each"
    spent, resting_until, hammered = collections.Counter(), {}, 0

    async def behave(request):
        nonlocal hammered
        now = time.monotonic()
        hammered += now < resting_until.get(request.key, 0.0)
        second = (request.key, int(now))
        spent[second] += 1
        if spent[second] > 20:
            # A moment of grace for what was on its way when the first 429 was said.
            resting_until.setdefault((request.key, int(now)), now)
            resting_until[request.key] = max(resting_until.get(request.key, 0.0), now + 0.1)
            return await request.status(429, ["retry-after: 1"])
        await good_answer(request)

    pictures = [image(130_000, seed) for seed in range(12)]
    keys = ", keys: [{ value: env.KEY_A }, { value: env.KEY_B }]"
    async with Provider(behave) as one, Provider(good_answer) as other:
        yaml = f'providers:\n  first: {{ base_url: "{one.url}", dialect: openai{keys} }}\n'
        yaml += f'  second: {{ base_url: "{other.url}", dialect: openai, keys: [{{ value: env.KEY_A }}] }}\n'
        async with Gateway(yaml) as gateway:

            async def batch(_):
                return await asyncio.gather(*(chat(gateway, ask("first/m", [FALLBACK], images=[picture])) for picture in pictures))

            batches = await at_rate(6, 20, batch)
            refusals = sum(answer.headers.get("x-heliostat-attempts", "").count(";429;") for some in batches for answer in some)
    answers = [answer for some in batches for answer in some]
    table.add(name, "requests lost", f"{lost(answers)} of {len(answers):,}", "0", lost(answers) == 0)
    table.add(name, "429s met", f"{refusals} in 20 s", "< 10 %", refusals < len(answers) / 10)
    table.add(name, "p95", ms(took(answers, 0.95)), "< 1 s", took(answers, 0.95) < 1.0)


async def shares(table):
    """70/30 over 1,000 requests, and over the next 1,000 when the first key has come back from a cool-down."""
    name = "keys of weight 0.7 and 0.3"
    limit = False

    async def behave(request):
        if limit and request.key == "key-a":
            return await request.status(429, ["retry-after: 2"])
        await request.reply("hello")

    keys = "keys: [{ value: env.KEY_A, weight: 0.7 }, { value: env.KEY_B, weight: 0.3 }]"
    async with Provider(behave) as one, Gateway(f'providers:\n  first: {{ base_url: "{one.url}", dialect: openai, {keys} }}\n') as gateway:

        async def thousand():
            one.keys.clear()
            for _ in range(100):
                await asyncio.gather(*(chat(gateway, ask("first/m")) for _ in range(10)))
            return one.keys.count("key-a") / 10

        share = await thousand()
        table.add(name, "share of the first over 1,000", f"{share:.1f} %", "69 to 71 %", 69 <= share <= 71)
        limit = True
        await asyncio.gather(*(chat(gateway, ask("first/m")) for _ in range(10)))
        limit, began = False, time.monotonic()
        one.keys.clear()
        while time.monotonic() < began + 1.5:
            await chat(gateway, ask("first/m"))
        resting = one.keys.count("key-a")
        while "key-a" not in one.keys and time.monotonic() < began + 10:
            await chat(gateway, ask("first/m"))
        share = await thousand()
        table.add(name, "requests to it while it rests", str(resting), "0", resting == 0)
        table.add(name, "its share over 1,000 after its cool-down", f"{share:.1f} %", "69 to 71 %", 69 <= share <= 71)


SCENARIOS = [overloaded, silent, slow_tokens, stragglers, limited, shares]


async def main(names):
    table = Table()
    for scenario in SCENARIOS:
        if not names or scenario.__name__ in names:
            await scenario(table)
    table.print()
    print(f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}")
    return table.good


sys.exit(0 if asyncio.run(main(sys.argv[1:])) else 1)
