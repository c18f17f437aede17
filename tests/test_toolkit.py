"""The toolkit's output comes by lines."""

import asyncio

from local_sagemaker import toolkit


def test_pieces_become_lines(capsys):
    async def watched():
        stream = asyncio.StreamReader(limit=1000)
        task = asyncio.create_task(toolkit.watch(stream, 1))
        for piece in (b"loss:", b" ", b"0.5", b"\n", b"x" * 3000, b"\nlast"):
            stream.feed_data(piece)
            await asyncio.sleep(0.01)  # the reader sees each piece by itself
        stream.feed_eof()
        await task

    asyncio.run(watched())
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["loss: 0.5", "x" * 3000, "last"]
