import { messageOf } from '@berth/shared/domain/errors';
import type { Local } from './bring-up.ts';
import type { Instance } from './instance.ts';
import { visit, type Answer } from './probe.ts';

/** A tenant and where it is asked once the coordinator is gone. */
export interface Visited {
  tenant: string;
  domain: string;
  path: string;
}

/** Named one by one up to here; more of them are a number. */
const NAMED = 8;
/** As many are asked at once. */
const AT_ONCE = 10;

/** Every tenant of this host by its first address, asked while the coordinator still answers; else the example's. */
export async function tenantsHere(local: Local): Promise<Visited[]> {
  try {
    const query = { host: local.host, limit: 1000 };
    const { items } = await local.api.listTenants({ query }, AbortSignal.timeout(3000));
    return items.flatMap(({ tenant, urls }) => {
      const url = urls[0] === undefined ? undefined : new URL(urls[0]);
      return url === undefined ? [] : [{ tenant, domain: url.hostname, path: url.pathname }];
    });
  } catch {
    return local.instance.example.map((one) => ({ ...one, path: '/' }));
  }
}

/** After a stop: asks each tenant once more, and says what the answers were. One that was removed is left out. */
export async function sayWhatGoesOn(
  instance: Pick<Instance, 'httpPort'>,
  tenants: readonly Visited[],
  say: (sentence: string) => void,
  ask: typeof visit = visit,
): Promise<void> {
  say('coordinator and agent are stopped');
  const answers: { tenant: string; answer: Answer | string }[] = [];
  for (let at = 0; at < tenants.length; at += AT_ONCE) {
    const asked = tenants.slice(at, at + AT_ONCE).map(async ({ tenant, domain, path }) => ({
      tenant,
      answer: await ask(instance.httpPort, domain, { path, timeoutMs: 3000 }).catch(messageOf),
    }));
    answers.push(...(await Promise.all(asked)));
  }
  const well: string[] = [];
  const otherwise: string[] = [];
  for (const { tenant, answer } of answers) {
    if (typeof answer === 'string') otherwise.push(`${tenant} does not answer (${answer})`);
    else if (answer.status < 400) well.push(`${tenant} (${answer.status})`);
    else if (answer.status === 503) otherwise.push(`${tenant} shows a maintenance page (503)`);
    // Nginx knows no such name: it was removed.
    else if (answer.status !== 421) otherwise.push(`${tenant} answers with ${answer.status}`);
  }
  if (well.length > 0) say(`still answering without them: ${some(well, well.length + otherwise.length)}`);
  if (otherwise.length > 0) say(some(otherwise, otherwise.length));
}

function some(words: readonly string[], of: number): string {
  if (words.length <= NAMED) return words.join(', ');
  const more = `${words.slice(0, NAMED).join(', ')} and ${words.length - NAMED} more`;
  return of === words.length ? `${more} (${of} in all)` : `${more} (${words.length} of ${of})`;
}
