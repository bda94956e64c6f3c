import { LEAST_PERCENT, Tag, type WaveSpec } from './rollout.ts';
import { TenantName } from './ids.ts';

/** As many as a policy may have, and as many names as a wave may. */
const MOST_WAVES = 50;
const MOST_NAMES = 1000;

export type WavesParsed = { ok: true; waves: WaveSpec[] } | { ok: false; error: string };

/**
 * Reads `canary,tier=free,@acme+globex,10,25%:approve,100%`: tags, named tenants, counts, shares; `all` is 100%. A wave
 * that ends in `:approve` waits until somebody has approved it. Counts and shares must rise.
 */
export function parseWaves(text: string): WavesParsed {
  const waves: WaveSpec[] = [];
  for (const raw of text.split(',')) {
    const wave = parseWave(raw.trim());
    if (typeof wave === 'string') return { ok: false, error: wave };
    waves.push(wave);
  }
  if (waves.length > MOST_WAVES)
    return { ok: false, error: `These are ${waves.length} waves; ${MOST_WAVES} are the most.` };
  const wrong = notRising(waves);
  return wrong === null ? { ok: true, waves } : { ok: false, error: wrong };
}

function parseWave(text: string): WaveSpec | string {
  const [body = '', ...marks] = text.split(':');
  const other = marks.find((mark) => mark !== 'approve');
  if (other !== undefined) return `"${text}" ends in ":${other}"; only ":approve" is known.`;
  const approval = marks.length > 0 ? 'ask' : 'none';
  if (body === '') return 'A wave is empty. Waves look like canary,5%,25%,100%.';
  if (body === 'all') return { target: { kind: 'share', percent: 100 }, approval };
  if (body.endsWith('%')) {
    const percent = Number(body.slice(0, -1));
    if (!/^\d+(\.\d+)?%$/.test(body) || percent < LEAST_PERCENT || percent > 100)
      return `"${body}" is no share: it must be at least ${LEAST_PERCENT}% and at most 100%.`;
    return { target: { kind: 'share', percent }, approval };
  }
  if (/^\d+$/.test(body)) {
    const count = Number(body);
    if (count < 1 || !Number.isSafeInteger(count)) return `"${body}" is no number of tenants.`;
    return { target: { kind: 'count', count }, approval };
  }
  if (body.startsWith('@')) {
    const tenants = body.slice(1).split('+');
    const wrong = tenants.find((name) => !TenantName.safeParse(name).success);
    if (wrong !== undefined) return `"${wrong}" in "${body}" is no tenant's name.`;
    if (tenants.length > MOST_NAMES)
      return `A wave names ${tenants.length} tenants; ${MOST_NAMES} are the most.`;
    return { target: { kind: 'tenants', tenants }, approval };
  }
  if (!Tag.safeParse(body).success)
    return `"${body}" is neither a share (25%), a number (10), a tag (tier=free) nor names (@acme+globex).`;
  return { target: { kind: 'tag', tag: body }, approval };
}

/** A sentence about the first share or count that is not larger than the one before; null when all rise. */
export function notRising(waves: readonly WaveSpec[]): string | null {
  let percent = 0;
  let count = 0;
  for (const { target } of waves) {
    if (target.kind === 'share') {
      if (target.percent <= percent)
        return `Shares are cumulative and must rise: ${target.percent}% comes after ${percent}%.`;
      percent = target.percent;
    }
    if (target.kind === 'count') {
      if (target.count <= count)
        return `Numbers of tenants are cumulative and must rise: ${target.count} comes after ${count}.`;
      count = target.count;
    }
  }
  return null;
}

/** The same words that `parseWaves` reads. */
export function waveText({ target, approval }: WaveSpec): string {
  return `${targetText(target)}${approval === 'ask' ? ':approve' : ''}`;
}

function targetText(target: WaveSpec['target']): string {
  switch (target.kind) {
    case 'share':
      return `${target.percent}%`;
    case 'count':
      return String(target.count);
    case 'tag':
      return target.tag;
    case 'tenants':
      return `@${target.tenants.join('+')}`;
  }
}
