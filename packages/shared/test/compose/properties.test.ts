import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wantedEnvFiles } from '../../src/compose/environment.ts';
import type { Finding } from '../../src/compose/findings.ts';
import { IGNORED_IN_SERVICE } from '../../src/compose/ignored.ts';
import { REFUSED_IN_SERVICE } from '../../src/compose/refused.ts';
import { renderTenant } from '../../src/compose/render.ts';
import { parseTemplate } from '../../src/compose/template.ts';
import { TenantSpec } from '../../src/domain/spec.ts';
import { digestOf } from '../../src/domain/digest.ts';
import { PLAUSIBLE_VARIABLES, plausibleDocument } from './plausible.ts';
import { ENV_FILES, fixture, fixtureNames } from './support.ts';

const FIXTURES = fixtureNames().map((name) => fixture(name));

function wellFormed(findings: readonly Finding[]): boolean {
  return findings.every(
    (one) => one.line >= 1 && one.column >= 1 && one.message.length > 0 && one.message.length < 1500,
  );
}

/** Parses and renders; whatever comes in, what comes out is a spec that holds or findings that name a place. */
function survives(text: string, variables: Record<string, string> = {}): void {
  wantedEnvFiles(text);
  const result = parseTemplate({ text, envFiles: ENV_FILES });
  expect(wellFormed([...result.warnings, ...(result.ok ? [] : result.errors)])).toBe(true);
  if (!result.ok) {
    expect(result.errors.length).toBeGreaterThan(0);
    return;
  }
  const rendered = renderTenant(result.template, variables);
  expect(wellFormed([...rendered.warnings, ...(rendered.ok ? [] : rendered.errors)])).toBe(true);
  if (rendered.ok) expect(TenantSpec.safeParse(rendered.spec).success).toBe(true);
  else expect(rendered.errors.length).toBeGreaterThan(0);
  expect(renderTenant(result.template, variables)).toEqual(rendered);
}

const KEYS = [
  ...'image command entrypoint environment env_file healthcheck depends_on volumes tmpfs deploy mem_limit cpus'.split(
    ' ',
  ),
  ...'pids_limit scale stop_grace_period stop_signal user group_add init logging labels working_dir hostname tty'.split(
    ' ',
  ),
  ...'shm_size ulimits sysctls extra_hosts restart pull_policy read_only cap_add security_opt ports profiles'.split(
    ' ',
  ),
  ...'network_mode networks x-berth x-other __proto__ constructor'.split(' '),
  ...'test interval condition required target source type resources limits reservations memory route port release'.split(
    ' ',
  ),
  ...REFUSED_IN_SERVICE.map((row) => row.key),
  ...IGNORED_IN_SERVICE.map((row) => row.key),
];

const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom<unknown>(
      null,
      true,
      false,
      0,
      -1,
      1.5,
      '',
      'a',
      'web',
      '10s',
      '64m',
      '/data',
      'a:/b',
      '${A}',
      '${A:-80}',
      '$',
      '${',
      '80:80',
    ),
    fc.string(),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...KEYS), fc.string()), tie('value'), { maxKeys: 4 }),
  ),
}));

const service = fc
  .dictionary(fc.constantFrom(...KEYS), anyValue, { maxKeys: 8 })
  .map((body) => ({ image: 'shop:1', ...body }));

describe('whatever is thrown at it', () => {
  it('random text never throws', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'ab:-[]{}&*!|>\'"#%@`,? \n\t$<0.~'), maxLength: 300 }),
        (text) => survives(text),
      ),
    );
  });

  it('random documents never throw', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('web', 'db', 'a'), service),
        anyValue,
        anyValue,
        (services, volumes, berth) => {
          survives(JSON.stringify({ services, volumes, 'x-berth': berth }), { A: '1' });
        },
      ),
      { numRuns: 500 },
    );
  });

  it('compose files from the wild, with pieces cut out, doubled and put elsewhere, never throw', () => {
    const change = fc.record({
      at: fc.nat(5000),
      length: fc.nat(60),
      insert: fc.oneof(
        fc.constantFrom(
          '',
          '\n',
          '  ',
          ': ',
          '- ',
          '*app',
          '&app ',
          '<<: ',
          '${',
          '}',
          '$$',
          '"',
          '[',
          '{',
          '!!int ',
          '\t',
          '\0',
        ),
        fc.string(),
      ),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...FIXTURES),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        (text, changes) => {
          let mutated = text;
          for (const { at, length, insert } of changes) {
            const from = at % (mutated.length + 1);
            mutated = mutated.slice(0, from) + insert + mutated.slice(from + length);
          }
          survives(mutated, { DB_PASSWORD: 'x', RELEASE: '1' });
        },
      ),
      { numRuns: 600 },
    );
  });

  it('good files with single words replaced by others never throw', () => {
    const words = [
      '0',
      '-1',
      'null',
      'true',
      '[]',
      '{}',
      '""',
      'web',
      '/x',
      '1g',
      '10s',
      'a:/b',
      '"${NONE}"',
      '"${NONE:-9}"',
      '"$${"',
      '&a b',
      '*a',
      '1e9',
      '0x10',
      '.inf',
    ];
    fc.assert(
      fc.property(plausibleDocument, fc.nat(400), fc.constantFrom(...words), (document, at, word) => {
        const text = JSON.stringify(document, null, 1);
        const places = [...text.matchAll(/(?<=: |^ +)("[^"]*"|[0-9]+|true|null)(?=,?$)/gm)];
        const place = places[at % places.length];
        if (place === undefined) return;
        survives(
          text.slice(0, place.index) + word + text.slice(place.index + place[0].length),
          PLAUSIBLE_VARIABLES,
        );
      }),
      { numRuns: 500 },
    );
  });

  it('variables with any value never throw, and never reach a finding', () => {
    const secret = 'S3CR3T-7f1e';
    const value = fc
      .oneof(
        fc.string(),
        fc.constantFrom('', '\0', 'a b', '/etc:/etc', '=', ':', '1g', '../..', '${X}', 'berth.x'),
      )
      .map((text) => secret + text);
    fc.assert(
      fc.property(fc.constantFrom(...FIXTURES), fc.infiniteStream(value), (text, values) => {
        // Every plain word in a value becomes a variable, so that each reader meets one.
        let names = 0;
        const variables: Record<string, string> = {};
        const filled = text.replaceAll(
          /(?<=[:-] )["']?[A-Za-z0-9][A-Za-z0-9._:/-]*["']?(?=$|[,\]}])/gm,
          (word) => {
            if (names % 3 !== 0) {
              names += 1;
              return word;
            }
            const name = `V${names}`;
            names += 1;
            variables[name] = values.next().value ?? '';
            return `"\${${name}}"`;
          },
        );
        survives(filled, variables);
        const result = parseTemplate({ text: filled, envFiles: ENV_FILES });
        if (!result.ok) return;
        const rendered = renderTenant(result.template, variables);
        expect(JSON.stringify([rendered.warnings, rendered.ok ? [] : rendered.errors])).not.toContain(secret);
      }),
      { numRuns: 200 },
    );
  });

  it('a plausible file that is taken renders to a spec that holds, whatever the order of its keys', () => {
    let rendered = 0;
    fc.assert(
      fc.property(plausibleDocument, (document) => {
        const text = JSON.stringify(document);
        survives(text, PLAUSIBLE_VARIABLES);
        const result = parseTemplate({ text, envFiles: ENV_FILES });
        if (!result.ok) return;
        const first = renderTenant(result.template, PLAUSIBLE_VARIABLES);
        const turned = { ...document, services: reversed(document.services) };
        const second = parseTemplate({ text: JSON.stringify(reversed(turned)), envFiles: ENV_FILES });
        expect(second.ok).toBe(true);
        if (!first.ok || !second.ok) return;
        const again = renderTenant(second.template, PLAUSIBLE_VARIABLES);
        expect(again.ok ? byName(again.spec) : again.errors).toEqual(byName(first.spec));
        expect(digestOf(first.spec)).toBe(digestOf(JSON.parse(JSON.stringify(first.spec))));
        rendered += 1;
      }),
      { numRuns: 400 },
    );
    expect(rendered).toBeGreaterThan(40);
  });

  it('a file that passes the check with its defaults also renders without any variable', () => {
    let rendered = 0;
    fc.assert(
      fc.property(plausibleDocument, (document) => {
        const result = parseTemplate({ text: JSON.stringify(document), envFiles: { '.env': 'A=1' } });
        if (!result.ok || /\$\{[A-Z]+\}/.test(result.template.text)) return;
        const done = renderTenant(result.template, {});
        expect(done.ok ? [] : done.errors).toEqual([]);
        expect(done.warnings).toEqual(result.warnings);
        rendered += 1;
      }),
      { numRuns: 400 },
    );
    expect(rendered).toBeGreaterThan(20);
  });
});

/** The same mapping with its keys the other way round. */
function reversed(map: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(map).toReversed());
}

function byName(spec: TenantSpec): unknown {
  return { ...spec, services: spec.services.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}
