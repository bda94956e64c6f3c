import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RolloutPolicy, Tag, type WaveSpec } from '../../src/domain/rollout.ts';
import { notRising, parseWaves, waveText } from '../../src/domain/waves-text.ts';

const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
const tag = fc
  .stringMatching(/^[a-z0-9][a-z0-9._-]{0,10}(=[a-z0-9][a-z0-9._-]{0,10})?$/)
  .filter((text) => Tag.safeParse(text).success);
const percent = fc
  .oneof(fc.integer({ min: 1, max: 100 }), fc.double({ min: 0.001, max: 100, noNaN: true }))
  .map((value) => ({ kind: 'share' as const, percent: value }));
const count = fc.integer({ min: 1 }).map((value) => ({ kind: 'count' as const, count: value }));
const target = fc.oneof(
  percent,
  count,
  tag.map((value) => ({ kind: 'tag' as const, tag: value })),
  fc.array(name, { minLength: 1, maxLength: 5 }).map((tenants) => ({ kind: 'tenants' as const, tenants })),
);
const wave: fc.Arbitrary<WaveSpec> = fc.record({
  target,
  approval: fc.constantFrom('none' as const, 'ask' as const),
});
const rising = fc.array(wave, { minLength: 1, maxLength: 8 }).filter((waves) => notRising(waves) === null);

function refused(text: string): string {
  const parsed = parseWaves(text);
  if (parsed.ok) throw new Error(`${text} was read as waves`);
  return parsed.error;
}

describe('the text of waves', () => {
  it('says the same waves when it is written and read again', () => {
    fc.assert(
      fc.property(rising, (waves) => {
        expect(parseWaves(waves.map(waveText).join(','))).toEqual({ ok: true, waves });
      }),
    );
  });

  it('never reads what a policy would refuse', () => {
    const piece = fc.oneof(
      wave.map(waveText),
      fc.string({ maxLength: 6 }),
      fc.constantFrom('0', '101%', 'all', ''),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
        const parsed = parseWaves(pieces.join(','));
        if (parsed.ok) expect(RolloutPolicy.parse({ waves: parsed.waves }).waves).toEqual(parsed.waves);
        else expect(parsed.error).toMatch(/\.$/);
      }),
    );
  });

  it('is tags, names, numbers and shares, each with or without an approval', () => {
    expect(parseWaves('canary, tier=free,@acme+globex,10,12.5%:approve,all')).toEqual({
      ok: true,
      waves: [
        { target: { kind: 'tag', tag: 'canary' }, approval: 'none' },
        { target: { kind: 'tag', tag: 'tier=free' }, approval: 'none' },
        { target: { kind: 'tenants', tenants: ['acme', 'globex'] }, approval: 'none' },
        { target: { kind: 'count', count: 10 }, approval: 'none' },
        { target: { kind: 'share', percent: 12.5 }, approval: 'ask' },
        { target: { kind: 'share', percent: 100 }, approval: 'none' },
      ],
    });
  });

  it('is refused with a sentence that names what is wrong', () => {
    expect(refused('')).toBe('A wave is empty. Waves look like canary,5%,25%,100%.');
    expect(refused('5%,,100%')).toBe('A wave is empty. Waves look like canary,5%,25%,100%.');
    expect(refused(':approve')).toBe('A wave is empty. Waves look like canary,5%,25%,100%.');
    expect(refused('5%:ask')).toBe('"5%:ask" ends in ":ask"; only ":approve" is known.');
    expect(refused('5%:')).toBe('"5%:" ends in ":"; only ":approve" is known.');
    for (const share of ['0%', '101%', '-5%', '%', 'x%', '5 %', '1e1%', '0.0000001%'])
      expect(refused(share)).toBe(`"${share}" is no share: it must be at least 0.001% and at most 100%.`);
    for (const number of ['0', '99999999999999999999'])
      expect(refused(number)).toBe(`"${number}" is no number of tenants.`);
    expect(refused('@acme+')).toBe('"" in "@acme+" is no tenant\'s name.');
    expect(refused('@Acme')).toBe('"Acme" in "@Acme" is no tenant\'s name.');
    expect(refused('tier=')).toBe(
      '"tier=" is neither a share (25%), a number (10), a tag (tier=free) nor names (@acme+globex).',
    );
    expect(refused('25%,5%')).toBe('Shares are cumulative and must rise: 5% comes after 25%.');
    expect(refused('5%,canary,5%')).toBe('Shares are cumulative and must rise: 5% comes after 5%.');
    expect(refused('10,3')).toBe('Numbers of tenants are cumulative and must rise: 3 comes after 10.');
    expect(refused(Array.from({ length: 51 }, (_, index) => index + 1).join(','))).toBe(
      'These are 51 waves; 50 are the most.',
    );
    expect(refused(`@${Array.from({ length: 1001 }, (_, index) => `t${index}`).join('+')}`)).toBe(
      'A wave names 1001 tenants; 1000 are the most.',
    );
  });

  it('has no words that are a tag as well', () => {
    for (const text of ['10', 'all']) expect(Tag.safeParse(text).success).toBe(false);
    for (const text of ['allowed', 'v10', '10-eu', 'tier=10', 'tier=all'])
      expect(Tag.safeParse(text).success).toBe(true);
  });
});
