import { describe, expect, it } from 'vitest';
import { wantedEnvFiles } from '../../src/compose/environment.ts';
import { formatFindings } from '../../src/compose/findings.ts';
import { parseTemplate } from '../../src/compose/template.ts';
import { errorsOf, render, short, specOf, templateOf, warningsOf, web, webSpec } from './support.ts';

describe('a template is checked when a release is made', () => {
  it('returns every error at once, in the order of the file', () => {
    const result = parseTemplate({
      text: 'services:\n  b: { image: "UP:", tty: 3 }\n  a: { images: x }\n  c:\n',
    });
    expect(result.ok ? [] : result.errors.map((one) => `${one.line}:${one.column} ${one.path}`)).toEqual([
      '2:15 services.b.image',
      '2:27 services.b.tty',
      '3:3 services.a',
      '3:8 services.a.images',
      '4:5 services.c',
    ]);
  });

  it('writes findings the way compilers do', () => {
    const result = parseTemplate({ text: web('privileged: true') });
    expect(formatFindings('compose.yaml', result.ok ? [] : result.errors)).toBe(
      'compose.yaml:4:5 services.web.privileged: refused because it lets a tenant reach the host; remove it, and if the image ' +
        'needs capabilities use x-berth.profile: compatible',
    );
  });

  it('quotes the file in one line that cannot steer a terminal', () => {
    expect(errorsOf(web('user: "a\\n\\e[31mb"'))).toEqual([
      '4:11 services.web.user: must be a user such as 1000, app or 1000:1000, not `a [31mb`',
    ]);
  });

  it('takes a value on trust when a variable without default is in it, and checks it when it is rendered', () => {
    const text = web(
      'mem_limit: ${MEM}\ncpus: ${CPUS:-2}\nports: ["${P}:${Q}"]\nx-berth: { profile: "${PROFILE}" }\nread_only: false',
    );
    expect(errorsOf(text)).toEqual([]);
    expect(specOf(text, { MEM: '64m', P: '1', Q: '2', PROFILE: 'writable' }).services[0]?.limits).toEqual({
      memoryBytes: 64 * 1024 ** 2,
      cpus: 2,
      pids: 256,
    });
    const bad = render(text, { MEM: 'lots', P: '1', Q: '2', PROFILE: 'restricted' });
    expect(bad.ok ? [] : short(bad.errors)).toEqual([
      '4:16 services.web.mem_limit: must be a size such as 512m, 1g or a number of bytes, not `${MEM}` (filled in)',
      '8:16 services.web.read_only: the root file system is read-only by default; to write to it use x-berth.profile: writable',
    ]);
  });

  it('checks a default as deeply as a value', () => {
    expect(errorsOf(web('mem_limit: ${MEM:-lots}'))).toEqual([
      '4:16 services.web.mem_limit: must be a size such as 512m, 1g or a number of bytes, not `lots`',
    ]);
  });

  it('catches a host path that only a variable brings', () => {
    const result = render(web('volumes: ["${WHERE}:/data"]'), { WHERE: '/etc' });
    expect(result.ok ? [] : short(result.errors)[0]).toContain(
      'refused because `${WHERE}:/data` (filled in) mounts a path of the host',
    );
  });

  it('is plain JSON that renders the same after it was stored', () => {
    const template = templateOf(web('env_file: a.env\nenvironment: { A: $A }'), { 'a.env': 'B=1' });
    const stored: unknown = JSON.parse(JSON.stringify(template));
    expect(stored).toEqual(template);
    expect(template).toMatchObject({
      name: '',
      services: ['web'],
      routed: false,
      envFiles: { 'a.env': 'B=1' },
    });
  });

  it('says whether anything answers requests', () => {
    expect(templateOf(web('x-berth: { route: { port: 80 } }')).routed).toBe(true);
    expect(templateOf(web('ports: ["8080:80"]')).routed).toBe(true);
    expect(templateOf(web('ports: ["5432:5432"]')).routed).toBe(false);
  });

  it('knows variables from environment without value and from env files, and calls none of its own required', () => {
    const text = web(
      'env_file: a.env\nenvironment: [TOKEN]\nhostname: ${BERTH_TENANT:?}',
      'name: ${NAME-shop}\n',
    );
    expect(templateOf(text, { 'a.env': 'X=${FROM_FILE?}\nBARE\n' }).variables).toEqual([
      { name: 'BARE', required: false, services: ['web'] },
      { name: 'BERTH_TENANT', required: false, services: ['web'] },
      { name: 'FROM_FILE', required: true, services: ['web'] },
      { name: 'NAME', required: false, default: 'shop', services: [] },
      { name: 'TOKEN', required: false, services: ['web'] },
    ]);
  });
});

describe('YAML', () => {
  it('merges anchors: own keys win, then earlier merges', () => {
    const text = [
      'x-a: &a { A: a, B: a, C: a }',
      'x-b: &b { B: b, D: b }',
      'services:',
      '  web:',
      '    image: shop:1',
      '    environment: { <<: [*a, *b], C: own }',
      '  copy:',
      '    image: shop:1',
      '    environment: &env { E: e }',
      '  third: { image: shop:1, environment: *env }',
    ].join('\n');
    const spec = specOf(text);
    expect(spec.services[0]?.environment).toEqual({ A: 'a', B: 'a', C: 'own', D: 'b' });
    expect(spec.services[2]?.environment).toEqual({ E: 'e' });
  });

  it('names both lines of a key that is given twice', () => {
    expect(errorsOf('services:\n  web: { image: a }\n  web: { image: b }\n')).toEqual([
      '3:3 services.web: the key `web` is given twice; the first is on line 2',
    ]);
  });

  it('points at the line where an alias was written', () => {
    expect(errorsOf('x-a: &a\n  privileged: true\nservices:\n  web: { <<: *a, image: a }\n')).toEqual([
      expect.stringMatching(/^2:3 services\.web\.privileged: refused/),
    ]);
  });

  it.each([
    ['', 'the file is empty'],
    ['# nothing\n', 'the file is empty'],
    ['services: [', 'not valid YAML'],
    ['a: b: c', 'not valid YAML'],
    ['just text', 'must be a mapping'],
    ['- a', 'must be a mapping'],
    ['{}', 'has no services'],
    ['services: {}', 'has no service that would run'],
    ['services: { a: *gone }', 'no anchor `&gone` stands before this alias'],
    ['services: { web: { image: a } }\n---\na: 1', 'not valid YAML'],
    ['services: { ? [a] : b }', 'a key must be plain text'],
    ['services: { "a b": { image: a } }', 'a service name must be'],
    ['services: { web: { <<: text, image: a } }', '`<<` takes a mapping'],
    ['services: &s { web: { image: a, x: *s } }', 'too large or too deep'],
  ])('%j is refused with a sentence', (text, reason) => {
    expect(errorsOf(text).join('\n')).toContain(reason);
  });

  it('does not expand an alias bomb', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
    for (let i = 1; i < 12; i += 1)
      lines.push(`a${i}: &a${i} [${Array.from({ length: 9 }, () => `*a${i - 1}`).join(', ')}]`);
    const started = process.cpuUsage();
    expect(errorsOf(`services: { web: { image: a } }\n${lines.join('\n')}\n`).join()).toContain(
      'too large or too deep',
    );
    expect(process.cpuUsage(started).user).toBeLessThan(3_000_000);
  });

  it.each(['[', '{a: ', '- ', '? ', '&a [', '"', 'a:\n', '${A:-'])(
    'survives %j repeated to the limit',
    (piece) => {
      const text = `services: { web: { image: a } }\nx: ${piece.repeat(20_000)}`;
      expect(errorsOf(text).length).toBeGreaterThanOrEqual(0);
      expect(errorsOf(piece.repeat(20_000))).not.toEqual([]);
    },
  );

  it('refuses more than 256 KB', () => {
    expect(errorsOf(`# ${'x'.repeat(256 * 1024)}`)).toEqual(['1:1 : the file is larger than 256 KB']);
  });

  it('refuses a 25th service', () => {
    const services = Array.from({ length: 25 }, (_, i) => `  s${i}: { image: a }`).join('\n');
    expect(errorsOf(`services:\n${services}\n`)).toEqual([
      '26:3 services.s24: a tenant has 24 services at most, and this is one more',
    ]);
  });
});

describe('env files', () => {
  it('are listed as written for whoever reads them', () => {
    const text =
      'services:\n  a: { image: a, env_file: .env }\n  b: { image: a, env_file: [.env, { path: b.env, required: false }] }\n  c: { image: a, profiles: [x], env_file: c.env }\n';
    expect(wantedEnvFiles(text)).toEqual([
      { path: '.env', required: true },
      { path: 'b.env', required: false },
    ]);
    expect(wantedEnvFiles('not: [yaml')).toEqual([]);
  });

  it('are overridden by environment, and later ones override earlier ones', () => {
    const text = web('env_file: [a.env, b.env]\nenvironment: { C: c, D: }');
    const files = { 'a.env': 'A=a\nB=a\nC=a\nD=a', 'b.env': 'B=b${A}$V\nE=${B}' };
    expect(specOf(text, { V: '!' }, files).services[0]?.environment).toEqual({
      A: 'a',
      B: 'b!',
      C: 'c',
      D: 'a',
      E: 'b!',
    });
  });

  it('name their own line when they cannot be read', () => {
    expect(
      errorsOf(web('env_file: [a.env, gone.env, { path: maybe.env, required: false }]'), {
        'a.env': 'A=1\n???',
      }),
    ).toEqual([
      '4:16 services.web.env_file[0]: a.env:2 is not NAME=value, a comment or an empty line',
      '4:23 services.web.env_file[1]: the env file `gone.env` was not found; create it, or write required: false',
    ]);
  });

  it('cannot grow without end by naming each other', () => {
    const lines = ['A0=xxxxxxxxxxxxxxxx', ...Array.from({ length: 40 }, (_, i) => `A${i + 1}=$A${i}$A${i}`)];
    expect(errorsOf(web('env_file: a.env'), { 'a.env': lines.join('\n') })[0]).toBe(
      '4:15 services.web.env_file: a.env:15 is longer than 128 KB once its variables are filled in',
    );
    const many = Array.from({ length: 40 }, (_, i) => `B${i}=$A`);
    expect(
      errorsOf(web('env_file: a.env'), { 'a.env': [`A=${'x'.repeat(100_000)}`, ...many].join('\n') }),
    ).toEqual([
      '4:15 services.web.env_file: a.env:11 the file is larger than 1024 KB once its variables are filled in',
    ]);
  });

  it('are taken literally in the raw format', () => {
    const text = web('env_file: { path: a.env, format: raw }');
    expect(specOf(text, {}, { 'a.env': 'A="$B" # c' }).services[0]?.environment).toEqual({ A: '"$B" # c' });
  });
});

describe('a route', () => {
  it('is derived from the only published port, and says so', () => {
    const text = web('ports: ["127.0.0.1:8080:3000/tcp", "222:22", "53:53/udp"]');
    expect(webSpec('ports: ["127.0.0.1:8080:3000/tcp", "222:22", "53:53/udp"]').route).toEqual({
      port: 3000,
      path: '/',
      health: '/',
    });
    expect(warningsOf(text)[1]).toContain('requests are routed to port 3000 of `web`');
  });

  it('is not guessed when several ports could be meant', () => {
    const text = 'services:\n  a: { image: a, ports: ["80:80"] }\n  b: { image: a, ports: [8080] }\n';
    expect(specOf(text).services.map((service) => service.route)).toEqual([undefined, undefined]);
    expect(
      warningsOf(text).filter((one) => one.includes('add x-berth.route to the service that answers')),
    ).toHaveLength(2);
  });

  it('is not guessed when the file names one', () => {
    const text =
      'services:\n  a: { image: a, ports: ["80:80"] }\n  b: { image: a, x-berth: { route: { port: 81 } } }\n';
    expect(specOf(text).services.map((service) => service.route?.port)).toEqual([undefined, 81]);
  });

  it('cannot be had twice', () => {
    const text =
      'services:\n  a: { image: a, x-berth: { route: { port: 80, path: /x } } }\n' +
      '  b: { image: a, x-berth: { route: { port: 81, path: /x/ } } }\n' +
      '  c: { image: a, x-berth: { route: { port: 81, path: /x, subdomain: api } } }\n';
    expect(errorsOf(text)).toEqual([
      expect.stringMatching(/^3:36 services\.b\.x-berth\.route: `a` already has this route/),
    ]);
  });

  it('of a service that is replaced in place comes with a warning', () => {
    expect(warningsOf(web('volumes: [/data]\nx-berth: { route: { port: 80 } }'))).toEqual([
      '5:23 services.web.x-berth.route: a deploy interrupts `web` for a moment: it has volumes, so its strategy is in-place',
    ]);
    expect(warningsOf(web('x-berth: { strategy: recreate, route: { port: 80 } }'))).toEqual([
      '4:26 services.web.x-berth.strategy: a deploy interrupts `web` for a moment: its strategy is recreate',
    ]);
  });
});
