import { BerthError } from '@berth/shared/domain/errors';
import type { HonoRequest } from 'hono';

/** The largest body that is taken. */
export const MAX_BODY = 1024 * 1024;
/** The same of somebody who shows no token: reading JSON holds up everybody else, and what is sent there is small. */
export const MAX_UNKNOWN_BODY = 64 * 1024;
/** A larger one is read to here and thrown away, so that its sender gets to read why it was refused. */
const MAX_DISCARDED = 8 * MAX_BODY;

/** Thrown for a body that is larger than is taken; it has its own HTTP status. */
export class TooLarge extends BerthError {
  constructor(most: number) {
    const size = most < MAX_BODY ? `${most / 1024} KiB` : `${most / 1024 / 1024} MiB`;
    super('invalid_request', `The request is larger than ${size}, which is the most that is taken.`);
  }
}

/** The JSON of a request's body; an empty body is `{}`. Errors: `invalid_request`, TooLarge. */
export async function jsonBody(request: HonoRequest, most: number = MAX_BODY): Promise<unknown> {
  const text = await textOf(request, most).catch(brokenOff);
  if (text === '') return {};
  if (!/^application\/json\b/i.test(request.header('content-type') ?? '')) {
    throw new BerthError(
      'invalid_request',
      'The body must be JSON with the header "content-type: application/json".',
    );
  }
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.slice(0, 200) : 'it cannot be read';
    throw new BerthError('invalid_request', `The body is not JSON: ${why}.`, { cause });
  }
}

/** Whoever hangs up in the middle is no fault of ours: it is told to nobody, and counts as no failure. */
function brokenOff(thrown: unknown): never {
  if (thrown instanceof BerthError) throw thrown;
  throw new BerthError('invalid_request', 'The request broke off before all of its body had come.', {
    cause: thrown,
  });
}

async function textOf(request: HonoRequest, most: number): Promise<string> {
  const length = Number(request.header('content-length') ?? Number.NaN);
  // The HTTP parser lets no more through than was announced.
  if (length <= most) return await request.text();
  if (length > MAX_DISCARDED) throw new TooLarge(most);
  const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = request.raw.body?.getReader();
  if (reader === undefined) return '';
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.byteLength;
    if (size <= most) chunks.push(value);
    if (size > MAX_DISCARDED) {
      await reader.cancel();
      throw new TooLarge(most);
    }
  }
  if (size > most) throw new TooLarge(most);
  return Buffer.concat(chunks).toString('utf8');
}
