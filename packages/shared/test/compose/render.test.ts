import { describe, expect, it } from 'vitest';
import { anonymousVolume } from '../../src/compose/mounts.ts';
import { TenantSpec } from '../../src/domain/spec.ts';
import { errorsOf, render, short, specOf, web, webSpec } from './support.ts';

describe('rendering', () => {
  it('decides every default', () => {
    expect(specOf('services: { web: { image: "shop:1" } }')).toEqual({
      services: [
        {
          name: 'web',
          image: 'shop:1',
          pullPolicy: 'missing',
          environment: {},
          groupAdd: [],
          init: false,
          tty: false,
          stdinOpen: false,
          stopGraceMs: 10_000,
          volumes: [],
          tmpfs: [],
          limits: { memoryBytes: 512 * 1024 ** 2, cpus: 1, pids: 256 },
          reservation: { memoryBytes: 512 * 1024 ** 2, cpus: 1 },
          ulimits: {},
          sysctls: {},
          extraHosts: {},
          logging: { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '3' } },
          labels: {},
          dependsOn: [],
          replicas: 1,
          restart: 'always',
          strategy: 'blue-green',
          profile: 'restricted',
          drainMs: 30_000,
        },
      ],
      volumes: [],
      bakeMs: 60_000,
    });
  });

  it('parses types after the variables are filled in', () => {
    const spec = webSpec(
      'init: ${INIT}\nscale: ${N}\nx-berth: { route: { port: "${PORT}" }, drain: "${D}s" }',
      {
        INIT: 'true',
        N: '2',
        PORT: '8080',
        D: '5',
      },
    );
    expect([spec.init, spec.replicas, spec.route?.port, spec.drainMs]).toEqual([true, 2, 8080, 5000]);
  });

  it('leaves an unset variable empty with one warning, as Compose does', () => {
    const result = render(web('environment: { A: "x$GONE", B: $GONE, C: $SET }'), { SET: '' });
    expect(result.ok && result.spec.services[0]?.environment).toEqual({ A: 'x', B: '', C: '' });
    expect(short(result.warnings)).toEqual([
      '4:23 services.web.environment.A: the variable `GONE` is not set and has no default, so it is empty',
    ]);
  });

  it('refuses to go on without a required variable, with the words of the file', () => {
    const result = render(web('environment: { A: "${KEY:?ask the security team}", B: "${OTHER?}" }'), {
      KEY: '',
    });
    expect(result.ok ? [] : short(result.errors)).toEqual([
      '4:23 services.web.environment.A: the variable `KEY` must be set: ask the security team',
      '4:59 services.web.environment.B: the variable `OTHER` must be set',
    ]);
  });

  it('takes a name without value from the tenant, and leaves it out when there is none', () => {
    expect(webSpec('environment: [A, B]', { A: '1' }).environment).toEqual({ A: '1' });
    expect(webSpec('environment: { A: , toString: }', { A: '1' }).environment).toEqual({ A: '1' });
  });

  it('does not fill in what a variable brought, nor keys, nor top-level extensions', () => {
    expect(webSpec('environment: { $A: $A }', { A: '$B' }, 'x-note: ${BROKEN\n').environment).toEqual({
      $A: '$B',
    });
  });

  it('starts health checks quickly, and otherwise keeps to the defaults of Compose', () => {
    const timing = (body: string) => {
      const { startIntervalMs, intervalMs } = webSpec(`healthcheck: { test: x, ${body} }`).healthcheck ?? {};
      return [intervalMs, startIntervalMs];
    };
    expect(webSpec('healthcheck: { test: x }').healthcheck).toEqual({
      test: ['CMD-SHELL', 'x'],
      intervalMs: 30_000,
      timeoutMs: 30_000,
      retries: 3,
      startPeriodMs: 0,
      startIntervalMs: 500,
    });
    expect(timing('interval: 200ms')).toEqual([200, 200]);
    expect(timing('interval: 10s, start_interval: 2s')).toEqual([10_000, 2000]);
  });

  it('lets a limit grow to its reservation, and a reservation follow its limit', () => {
    const memory = (body: string) => {
      const { limits, reservation } = webSpec(body);
      return [limits.memoryBytes, reservation.memoryBytes].map((bytes) => bytes / 1024 ** 2);
    };
    expect(memory('mem_limit: 64m')).toEqual([64, 64]);
    expect(memory('mem_reservation: 64m')).toEqual([512, 64]);
    expect(memory('mem_reservation: 2g')).toEqual([2048, 2048]);
    expect(memory('mem_limit: 1g\nmem_reservation: 64m')).toEqual([1024, 64]);
    expect(memory('mem_limit: 1g\ndeploy: { resources: { limits: { memory: 1g } } }')).toEqual([1024, 1024]);
  });

  it('reads both forms of volumes', () => {
    const spec = specOf(
      web(
        'volumes:\n  - data:/data\n  - logs:/var/log/../log/app/:ro\n  - /cache\n  - { type: volume, source: data, target: /again, read_only: true }\n  - { target: /anon }',
        'volumes: { data: , logs: { driver: local }, unused: }\n',
      ),
    );
    const cache = anonymousVolume('web', '/cache');
    const anon = anonymousVolume('web', '/anon');
    expect(spec.services[0]?.volumes).toEqual([
      { volume: 'data', target: '/data', readOnly: false },
      { volume: 'logs', target: '/var/log/app', readOnly: true },
      { volume: cache, target: '/cache', readOnly: false },
      { volume: 'data', target: '/again', readOnly: true },
      { volume: anon, target: '/anon', readOnly: false },
    ]);
    expect(spec.volumes).toEqual([anon, cache, 'data', 'logs'].toSorted());
    expect(spec.services[0]?.strategy).toBe('in-place');
    expect(cache).toMatch(/^anon-[0-9a-f]{16}$/);
    expect(cache).not.toBe(anonymousVolume('other', '/cache'));
  });

  it('gives every service the profile of the file unless it names its own', () => {
    const text =
      'services: { a: { image: a }, b: { image: b, x-berth: { profile: compatible } } }\nx-berth: { profile: writable }';
    expect(specOf(text).services.map((service) => service.profile)).toEqual(['writable', 'compatible']);
  });

  it('lets a service add capabilities that its profile has anyway', () => {
    expect(webSpec('cap_add: [CHOWN, CAP_SETUID]\nx-berth: { profile: compatible }').profile).toBe(
      'compatible',
    );
  });
});

describe('dependencies', () => {
  const services = (body: string) => `services:\n${body}`;

  it('put every service after all it depends on, and otherwise keep the order of the file', () => {
    const spec = specOf(
      services(
        '  a: { image: a, depends_on: [c] }\n  b: { image: b }\n  c: { image: c, depends_on: [d] }\n  d: { image: d }\n',
      ),
    );
    expect(spec.services.map((service) => service.name)).toEqual(['d', 'c', 'a', 'b']);
  });

  it('name the circle they make', () => {
    expect(
      errorsOf(
        services(
          '  a: { image: a, depends_on: [b] }\n  b: { image: b, depends_on: [c] }\n  c: { image: c, depends_on: [a] }\n',
        ),
      ),
    ).toEqual(['4:31 services.c.depends_on[0]: services wait for each other in a circle: a -> b -> c -> a']);
  });

  it('on a service without a health check cannot wait for its health', () => {
    const on = (health: string) =>
      services(
        `  a: { image: a, depends_on: { b: { condition: service_healthy } } }\n  b: { image: b${health} }\n`,
      );
    expect(errorsOf(on(''))).toEqual([
      expect.stringMatching(
        /^2:32 services\.a\.depends_on\.b: waits for `b` to be healthy, but it has no healthcheck/,
      ),
    ]);
    expect(errorsOf(on(', healthcheck: { disable: true }'))).toHaveLength(1);
    expect(errorsOf(on(', healthcheck: { test: x }'))).toEqual([]);
  });

  it('that need not be there are dropped when they are not', () => {
    const text = services(
      '  a: { image: a, depends_on: { b: { required: false }, c: { required: false } } }\n  b: { image: b, profiles: [dev] }\n',
    );
    expect(specOf(text).services.map((service) => [service.name, service.dependsOn])).toEqual([['a', []]]);
    expect(errorsOf(text.replace('{ b: { required: false }, c: { required: false } }', '[b]'))).toEqual([
      expect.stringContaining('`b` is left out because it has profiles'),
    ]);
  });

  it('on a job make it run once, and refuse a job that is always started again', () => {
    const on = (restart: string) =>
      services(
        `  a: { image: a, depends_on: { job: { condition: service_completed_successfully } } }\n  job: { image: b${restart} }\n`,
      );
    expect(specOf(on('')).services[0]).toMatchObject({ name: 'job', restart: 'no' });
    expect(errorsOf(on(', restart: unless-stopped'))).toEqual([
      expect.stringContaining('`a` waits for `job` to complete'),
    ]);
  });

  it('refuse a condition that is unknown', () => {
    expect(
      errorsOf(
        services('  a: { image: a, depends_on: { b: { condition: service_up } } }\n  b: { image: b }\n'),
      ),
    ).toEqual([
      expect.stringContaining(
        'must be one of service_started, service_healthy, service_completed_successfully',
      ),
    ]);
  });
});

describe('x-berth', () => {
  it('is read with all its settings', () => {
    const text = web(
      'x-berth:\n  route: { port: 8080, path: /api, subdomain: app, health: "/health?full=1" }\n  drain: 5s\n  strategy: recreate\n  profile: writable',
      'x-berth:\n  release: { service: web, command: [a, "b c"], timeout: 90s }\n  bake: 0\n  database: { engine: postgres, service: web }\n  backup: { every: 30m }\n',
    );
    const spec = specOf(text);
    expect(spec).toMatchObject({
      bakeMs: 0,
      release: { service: 'web', command: ['a', 'b c'], timeoutMs: 90_000 },
    });
    expect(spec.services[0]).toMatchObject({
      route: { port: 8080, path: '/api', subdomain: 'app', health: '/health?full=1' },
      drainMs: 5000,
      strategy: 'recreate',
      profile: 'writable',
    });
    expect(TenantSpec.parse(spec)).toEqual(spec);
  });

  const release = (more: string): string =>
    web('', `x-berth:\n  release:\n    service: web\n    command: [migrate]\n${more}`);

  it.each([
    ['    irreversible: true\n', true],
    ['    irreversible: false\n', undefined],
    ['', undefined],
  ])('marks a release command irreversible only where it is said: %j', (more, irreversible) => {
    expect(specOf(release(more)).release?.irreversible).toBe(irreversible);
  });

  it('names the line of a mark that is no yes or no, and of one that is misspelt', () => {
    expect(errorsOf(release('    irreversible: maybe\n'))).toEqual([
      expect.stringMatching(/^9:\d+ x-berth\.release\.irreversible: must be true or false/),
    ]);
    expect(errorsOf(release('    irreversable: true\n'))).toEqual([
      expect.stringMatching(/^9:\d+ x-berth\.release\.irreversable: .*irreversible/),
    ]);
  });
});
