"""A chaos soak: a thousand streams at a time, providers that fail in every way, clients that leave whenever they like.

Two waves. After each the gateway must stand where it began: nothing in flight, no request left open at a provider, no socket but
those it had; and the second wave must not have cost more memory than the first. Every answer is one provider's, whole, or says that it
is not. Ends with an error otherwise.
"""

import argparse
import asyncio
import collections
import contextlib
import random
import sys
import time

from rig import Gateway, Left, Provider, ask, chat

GROWTH_BYTES = 32 << 20
PAUSE_S = 0.3
# The pool keeps idle connections for a while; then all must be gone.
SETTLE_S = 120
CLOCKS = "network: { timeouts: { header_ms: 2000, first_content_ms: 2000, stall_ms: 2000 } }"

dice = random.Random(7)


async def good(request, tag, words=None):
    words = words or dice.randrange(15, 40)
    if request.stream:
        await request.begin()
        for _ in range(words):
            await request.word(tag)
            await asyncio.sleep(PAUSE_S)
        await request.word(f"={words}")
        return await request.finish()
    await request.reply(tag * words + f"={words}")


async def begun(request, tag):
    """A few words of a stream, or a head without a body."""
    await request.begin()
    for _ in range(dice.randrange(0, 5) if request.stream else 0):
        await request.word(tag)


async def status(request, _):
    code = dice.choice([429, 500, 502, 503, 529])
    await request.status(code, ["retry-after: 1"] if dice.random() < 0.5 or code in (429, 529) else [])


async def page(request, _):
    await request.status(200, body="<html>hello</html>")


async def garbage(request, _):
    request.writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")


async def silence(request, _):
    await request.silence()


async def reset(request, _):
    request.reset()


async def cut(request, _):
    pass


async def stall_later(request, tag):
    await begun(request, tag)
    await request.silence()


async def reset_later(request, tag):
    await begun(request, tag)
    request.reset()


async def cut_later(request, tag):
    await begun(request, tag)


async def error_later(request, tag):
    await begun(request, tag)
    await request.chunk(b'data: {"error": {"message": "trouble", "type": "server_error", "code": null, "param": null}}\n\n')


FAULTS = [status, page, garbage, silence, reset, cut, stall_later, reset_later, cut_later, error_later]


def chaotic(tag, share):
    """A provider of whose answers such a share is faulty."""

    async def behave(request):
        fault = dice.choice(FAULTS) if dice.random() < share else good
        await fault(request, tag)

    return behave


def judged(answer):
    """What a request came to; `WRONG …` is what must not be."""
    if answer.status != 200:
        return f"WRONG: status {answer.status}: {answer.body[:200]}"
    if not answer.good():
        return "broke off after content, and said so" if b'"error"' in answer.body else f"WRONG: broken without a word: {answer.body[-200:]}"
    text, _, count = answer.text().partition("=")
    whole = count.isdigit() and any(text == tag * int(count) for tag in "abc")
    return "answered" if whole else f"WRONG: not one whole answer: {text}={count}"


async def wave(gateway, streams, seconds):
    """So many clients at a time, one request after the other."""
    outcomes, until = collections.Counter(), time.monotonic() + seconds

    async def client(number):
        await asyncio.sleep(number / streams * 5)
        while time.monotonic() < until:
            leave = dice.uniform(0.01, 8) if dice.random() < 0.2 else None
            body = ask(f"first/m{dice.randrange(20)}", ["second/m", "third/m"], stream=dice.random() < 0.9)
            try:
                outcomes[judged(await chat(gateway, body, leave_after_s=leave))] += 1
            except Left:
                outcomes["left in the middle"] += 1

    clients = [asyncio.create_task(client(number)) for number in range(streams)]
    await asyncio.sleep(seconds / 2)
    print(f"half-way: {await gateway.metric('requests_in_flight'):.0f} in flight, {gateway.sockets()} sockets")
    await asyncio.gather(*clients)
    return outcomes


async def until(seconds, holds):
    """Waits until it holds; how long that took, or nothing."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        if await holds():
            return time.monotonic() - began
        await asyncio.sleep(0.2)
    return None


async def back_to_the_start(gateway, providers, sockets):
    """Waits until nothing is left of a wave; whether all of it went."""

    async def idle():
        # The request for this metric is not one of those.
        return await gateway.metric("requests_in_flight") == 0 and sum(provider.busy for provider in providers) == 0

    async def closed():
        return gateway.sockets() <= sockets

    quiet = await until(15, idle)
    print(f"nothing in flight, and nothing under way at a provider, after {quiet:.1f} s" if quiet is not None else "WRONG: something stays")
    gone = await until(SETTLE_S, closed)
    told = f"as many sockets as at the start ({sockets}) after {gone:.0f} s" if gone is not None else f"WRONG: {gateway.sockets()} sockets"
    print(told)
    return quiet is not None and gone is not None


async def main(streams, seconds):
    fine, resident = True, []
    async with contextlib.AsyncExitStack() as stack:
        behaviours = [chaotic("a", 0.7), chaotic("b", 0.3), chaotic("c", 0.0)]
        providers = [await stack.enter_async_context(Provider(behave)) for behave in behaviours]
        rows = "".join(
            f'  {name}: {{ base_url: "{provider.url}", dialect: openai, keys: [{{ value: env.KEY_A }}, {{ value: env.KEY_B }}] }}\n'
            for name, provider in zip(["first", "second", "third"], providers)
        )
        gateway = await stack.enter_async_context(Gateway(f"{CLOCKS}\nproviders:\n{rows}"))
        # The connections that asked whether it is ready may still be closing.
        await asyncio.sleep(1)
        sockets, began = gateway.sockets(), gateway.resident_bytes()
        for number in (1, 2):
            print(f"wave {number}: {streams} streams at a time for {seconds} s")
            outcomes = await wave(gateway, streams, seconds)
            for outcome, count in outcomes.most_common(12):
                print(f"{count:6} {outcome}")
            fine &= not any(outcome.startswith("WRONG") for outcome in outcomes)
            fine &= await back_to_the_start(gateway, providers, sockets)
            resident.append(gateway.resident_bytes())
        gone = await gateway.metric("client_aborts_total")
    first, second = resident
    print(f"{sum(provider.requests for provider in providers)} requests at providers, {gone:.0f} clients seen leaving")
    print(f"resident memory: {began >> 20} MiB at the start, {first >> 20} after the first wave, {second >> 20} after the second")
    if second - first > GROWTH_BYTES:
        print(f"WRONG: memory grew by more than {GROWTH_BYTES >> 20} MiB")
        fine = False
    return fine


options = argparse.ArgumentParser()
options.add_argument("--streams", type=int, default=1_000)
options.add_argument("--seconds", type=int, default=40)
options = options.parse_args()
sys.exit(0 if asyncio.run(main(options.streams, options.seconds)) else 1)
