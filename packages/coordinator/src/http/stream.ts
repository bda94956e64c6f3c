import { EventQuery } from '@berth/shared/api/schemas';
import type { AccessScope } from '@berth/shared/domain/access';
import { BerthError } from '@berth/shared/domain/errors';
import type { EventFeed } from '../services/events.ts';
import type { EventRecord } from '../services/records.ts';
import { checked } from './call.ts';
import { safeJson } from './text.ts';

export const StreamQuery = EventQuery.omit({ limit: true });

export interface StreamOptions {
  feed: EventFeed;
  /** Ends all streams. */
  signal: AbortSignal;
  heartbeatMs: number;
  /** Followers at one time. */
  most: number;
}

/** Streams of one token at one time. */
const MOST_PER_TOKEN = 100;

/** Who follows: what they may see, and whether their token is still good. */
export interface Follower {
  /** Its token: one may not take all streams. */
  token: string;
  scope: AccessScope | undefined;
  stillGood(): Promise<boolean>;
}

/**
 * Events as they happen (SSE). Begins after `Last-Event-ID` or `?after=`, else with what comes next. The stream is
 * pulled by its reader: one that does not read holds a few kilobytes and nothing else.
 */
export function createStreams({ feed, signal, heartbeatMs, most }: StreamOptions): {
  open(query: Record<string, string>, lastEventId: string | undefined, follower: Follower): Promise<Response>;
  count: () => number;
} {
  let open = 0;
  const byToken = new Map<string, number>();
  return {
    count: () => open,
    async open(query, lastEventId, { token, scope, stillGood }) {
      const { after, ...filter } = StreamQuery.parse(checked('query', StreamQuery, query));
      if (open >= most) {
        throw new BerthError(
          'rate_limited',
          `There are ${most} event streams open already. Try again later.`,
        );
      }
      const held = byToken.get(token) ?? 0;
      if (held >= MOST_PER_TOKEN) {
        throw new BerthError(
          'rate_limited',
          `This token has ${held} event streams open already. Close one, or use another token.`,
        );
      }
      const last = await feed.last();
      const asked = lastEventId !== undefined && /^\d{1,15}$/.test(lastEventId) ? Number(lastEventId) : after;
      // A number from the future is from before a restore; what comes next is the best answer there is.
      const from = Math.min(asked ?? last, last);
      const ended = new AbortController();
      const iterator = feed.follow(from, { ...filter, scope }, AbortSignal.any([signal, ended.signal]));
      open += 1;
      byToken.set(token, (byToken.get(token) ?? 0) + 1);
      let counted = true;
      const leave = (): void => {
        if (counted) {
          open -= 1;
          const left = (byToken.get(token) ?? 1) - 1;
          if (left === 0) byToken.delete(token);
          else byToken.set(token, left);
        }
        counted = false;
        ended.abort();
      };
      return new Response(bodyOf(iterator, heartbeatMs, stillGood, leave), {
        headers: { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' },
      });
    },
  };
}

function bodyOf(
  iterator: AsyncGenerator<EventRecord[]>,
  heartbeatMs: number,
  stillGood: () => Promise<boolean>,
  leave: () => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let next: Promise<IteratorResult<EventRecord[], unknown>> | null = null;
  let lookedAt = performance.now();
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(encoder.encode(': follows\n\n'));
      },
      async pull(controller) {
        // A token that was revoked or ran out ends what was opened with it.
        if (performance.now() - lookedAt >= heartbeatMs) {
          lookedAt = performance.now();
          if (!(await stillGood())) {
            leave();
            controller.close();
            return;
          }
        }
        next ??= iterator.next();
        const silence = Promise.withResolvers<'silence'>();
        const timer = setTimeout(() => silence.resolve('silence'), heartbeatMs);
        try {
          const outcome = await Promise.race([next, silence.promise]);
          if (outcome === 'silence') {
            controller.enqueue(encoder.encode(': still here\n\n'));
            return;
          }
          next = null;
          if (outcome.done === true) {
            leave();
            controller.close();
            return;
          }
          controller.enqueue(encoder.encode(outcome.value.map(frameOf).join('')));
        } catch (thrown) {
          leave();
          throw thrown;
        } finally {
          clearTimeout(timer);
        }
      },
      cancel() {
        leave();
      },
    },
    { highWaterMark: 1 },
  );
}

/** JSON has no raw line ends, so one data line always suffices; what hosts say is as harmless to a terminal as elsewhere. */
function frameOf(event: EventRecord): string {
  return `id: ${event.id}\nevent: ${event.kind.replace(/[^\w.-]/g, '_')}\ndata: ${safeJson(event)}\n\n`;
}
