const MAX_LINE = 1024 * 1024;

/** Lines without their ends; empty ones are left out, and so is one that is longer than 1 MiB. */
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

/** JSON values, one per line. A line that is no JSON is left out. */
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
