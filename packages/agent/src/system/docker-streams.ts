/**
 * Docker's framing of a container's two streams: eight bytes (stream, three zeros, length) before each piece. What does
 * not follow it is given back as it is.
 */
export function demultiplex(body: Buffer): string {
  const parts: Buffer[] = [];
  let at = 0;
  while (at + 8 <= body.length) {
    const kind = body[at];
    if (kind === undefined || kind > 2 || body[at + 1] !== 0) return body.toString('utf8');
    const length = body.readUInt32BE(at + 4);
    parts.push(body.subarray(at + 8, Math.min(at + 8 + length, body.length)));
    at += 8 + length;
  }
  return Buffer.concat(parts).toString('utf8');
}

/** JSON values, one per line. A line that is no JSON, or longer than 1 MiB, is left out. */
export async function* jsonLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<unknown> {
  for await (const line of textLines(chunks)) {
    try {
      const value: unknown = JSON.parse(line);
      yield value;
    } catch {
      // A torn line at the end of a broken connection.
    }
  }
}

const MAX_LINE = 1024 * 1024;

/** Lines without their ends. */
export async function* textLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    let end = rest.indexOf('\n');
    while (end >= 0) {
      const line = rest.slice(0, end).trim();
      rest = rest.slice(end + 1);
      if (line !== '') yield line;
      end = rest.indexOf('\n');
    }
    if (rest.length > MAX_LINE) rest = '';
  }
  if (rest.trim() !== '') yield rest.trim();
}
