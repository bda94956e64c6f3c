import { BerthError, messageOf } from '@berth/shared/domain/errors';

export interface FetchLimits {
  timeoutMs: number;
  /** The largest answer that is read. */
  bytes: number;
}

/**
 * The JSON at an address, as long as it comes soon, is small, and comes from there and nowhere else. Errors:
 * `unavailable`.
 */
export async function limitedJson(url: string, { timeoutMs, bytes }: FetchLimits): Promise<unknown> {
  try {
    const answer = await fetch(url, {
      headers: { accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (answer.status !== 200) throw new Error(`it answered ${answer.status}`);
    const body: ReadableStream<Uint8Array> | null = answer.body;
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of body ?? []) {
      size += chunk.byteLength;
      if (size > bytes) throw new Error(`it answered with more than ${bytes} bytes`);
      chunks.push(chunk);
    }
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    return value;
  } catch (cause) {
    const why =
      cause instanceof Error && cause.name === 'TimeoutError'
        ? `no answer within ${timeoutMs / 1000} s`
        : messageOf(cause).slice(0, 200);
    throw new BerthError('unavailable', `The issuer's keys cannot be fetched from ${url}: ${why}.`, {
      cause,
    });
  }
}
