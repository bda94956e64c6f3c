import { digestOf } from '@berth/shared/domain/digest';
import { CANARY, type Tag, type WaveSpec } from '@berth/shared/domain/rollout';
import { waveText } from '@berth/shared/domain/waves-text';

export interface WavesGiven {
  app: string;
  to: number;
  waves: readonly WaveSpec[];
  order: readonly Tag[];
  /** All tenants of the app. */
  tenants: readonly { tenant: string; tags: readonly Tag[]; release: number }[];
}

export interface Waves {
  /** Names in their order, one list for each given wave; a list may be empty. */
  waves: string[][];
  /** Who has the release already, or is in no wave. */
  untouched: string[];
  /** Sentences about waves that nobody is left for. */
  warnings: string[];
  /** Sentences about waves that name nobody at all: most likely a mistake. */
  errors: string[];
}

/**
 * Who goes when: canaries first, then by the tags of `order`, then by a hash of app, release and name, so that it is not
 * always the same who go first. The same input gives the same waves, in whatever order the tenants come.
 */
export function computeWaves(given: WavesGiven): Waves {
  const behind = given.tenants.filter((each) => each.release !== given.to);
  const rank = new Map(behind.map((each) => [each.tenant, rankOf(given, each)]));
  const queue = [...behind].sort((a, b) => {
    const [rankA = '', rankB = ''] = [rank.get(a.tenant), rank.get(b.tenant)];
    return rankA < rankB ? -1 : rankA > rankB ? 1 : 0;
  });
  const taken = new Set<string>();
  const warnings: string[] = [];
  const errors: string[] = [];
  const empty: string[] = [];
  const waves = given.waves.map((spec, index) => {
    const chosen = choose(spec, queue, taken, given.tenants, errors);
    for (const name of chosen) taken.add(name);
    if (chosen.length === 0 && errors.length === 0 && behind.length > 0)
      empty.push(`Wave ${index + 1} (${waveText(spec)}) has no tenant: those before it have them all.`);
    return chosen;
  });
  // Nobody is in any wave: that is one thing to say, and not one for each wave.
  if (taken.size > 0) warnings.push(...empty);
  else if (errors.length === 0) warnings.push(nobody(given, behind.length));
  const untouched = given.tenants
    .filter((each) => !taken.has(each.tenant))
    .map((each) => each.tenant)
    .sort();
  return { waves, untouched, warnings, errors };
}

/** Why nobody is in any wave. */
function nobody({ tenants, to }: WavesGiven, behind: number): string {
  if (tenants.length === 0) return 'The app has no tenants yet.';
  return behind === 0
    ? `Every tenant has release ${to} already.`
    : `Every tenant that these waves name has release ${to} already.`;
}

function rankOf(given: WavesGiven, { tenant, tags }: { tenant: string; tags: readonly Tag[] }): string {
  const place = given.order.findIndex((tag) => tags.includes(tag));
  const group = tags.includes(CANARY) ? 0 : place === -1 ? given.order.length + 1 : place + 1;
  const hash = digestOf({ app: given.app, release: given.to, tenant });
  return `${String(group).padStart(3, '0')} ${hash} ${tenant}`;
}

type Candidate = WavesGiven['tenants'][number];

function choose(
  { target }: WaveSpec,
  queue: readonly Candidate[],
  taken: ReadonlySet<string>,
  all: readonly Candidate[],
  errors: string[],
): string[] {
  const left = queue.filter((each) => !taken.has(each.tenant));
  const upTo = (total: number): string[] =>
    left.slice(0, Math.max(0, total - taken.size)).map((each) => each.tenant);
  switch (target.kind) {
    case 'share':
      return upTo(Math.ceil((queue.length * target.percent) / 100));
    case 'count':
      return upTo(target.count);
    case 'tag':
      if (!all.some((each) => each.tags.includes(target.tag)))
        errors.push(`No tenant of this app has the tag ${target.tag}. Tag one, or leave that wave out.`);
      return left.filter((each) => each.tags.includes(target.tag)).map((each) => each.tenant);
    case 'tenants': {
      const known = new Set(all.map((each) => each.tenant));
      const unknown = target.tenants.filter((name) => !known.has(name));
      if (unknown.length > 0) errors.push(`This app has no tenant ${unknown.join(', ')}.`);
      return left.filter((each) => target.tenants.includes(each.tenant)).map((each) => each.tenant);
    }
  }
}
