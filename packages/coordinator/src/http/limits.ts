import { BerthError } from '@berth/shared/domain/errors';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { HttpSettings } from './settings.ts';

/** Each counts, and throws `rate_limited` with `retryAfterMs` beyond what is allowed in a minute. */
export interface Limits {
  request(address: string): Promise<void>;
  token(id: string): Promise<void>;
  /** A token, a join token or an identity token was refused. */
  refused(address: string): Promise<void>;
  /** Before something that is costly to check: only looks whether too much was refused already. */
  mayTry(address: string): Promise<void>;
}

const MINUTE_S = 60;

/** Counts in the memory of this process: several coordinators count apart, and a restart forgets. */
export function createLimits({ perToken, perAddress, failures }: HttpSettings['limits']): Limits {
  const counter = (points: number) => new RateLimiterMemory({ points, duration: MINUTE_S });
  const [addresses, tokens, refusals] = [counter(perAddress), counter(perToken), counter(failures)];
  return {
    request: (address) => count(addresses, address, 'There are too many requests from your address.'),
    token: (id) => count(tokens, id, 'There are too many requests with this token.'),
    refused: (address) => count(refusals, address, TOO_MANY_REFUSED),
    async mayTry(address) {
      const known = await refusals.get(address);
      if (known !== null && known.consumedPoints >= failures) throw limited(TOO_MANY_REFUSED, known);
    },
  };
}

const TOO_MANY_REFUSED = 'Too many tokens from your address were refused.';

async function count(limiter: RateLimiterMemory, key: string, sentence: string): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (thrown) {
    if (thrown instanceof RateLimiterRes) throw limited(sentence, thrown);
    throw thrown;
  }
}

function limited(sentence: string, { msBeforeNext }: RateLimiterRes): BerthError {
  const seconds = Math.max(1, Math.ceil(msBeforeNext / 1000));
  return new BerthError('rate_limited', `${sentence} Try again in ${seconds} s.`, {
    details: { retryAfterMs: seconds * 1000 },
  });
}
