import { describe, expect, it } from 'vitest';
import { IGNORED_AT_TOP, IGNORED_IN_DEPLOY, IGNORED_IN_SERVICE } from '../../src/compose/ignored.ts';
import { REFUSED_AT_TOP, REFUSED_IN_SERVICE } from '../../src/compose/refused.ts';
import { errorsOf, warningsOf, web, webSpec } from './support.ts';

/** One error, on the line of the key under test: the first one below `image`. */
function only(body: string, rest = ''): string {
  const errors = errorsOf(web(body, rest));
  return errors.length === 1 ? (errors[0] ?? '') : `${errors.length} errors: ${errors.join(' | ')}`;
}

describe('the table of refused keys', () => {
  it.each(REFUSED_IN_SERVICE.map((row) => [row.key, row.reason]))(
    'services.web.%s is refused with its line and reason',
    (key, reason) => {
      expect(errorsOf(web(`${key}: host`))).toEqual([`4:5 services.web.${key}: refused because ${reason}`]);
    },
  );

  it.each(REFUSED_AT_TOP.map((row) => [row.key, row.reason]))(
    '%s at the top is refused with its line and reason',
    (key, reason) => {
      expect(errorsOf(`services: { web: { image: a } }\n${key}: x\n`)).toEqual([
        `2:1 ${key}: refused because ${reason}`,
      ]);
    },
  );

  it.each(['privileged: false', 'devices: []', 'links:', 'secrets: {}', 'ipc: private', 'oom_score_adj: 0'])(
    '%s asks for nothing and is let through',
    (body) => {
      expect(errorsOf(web(body))).toEqual([]);
    },
  );
});

describe('the tables of keys without effect', () => {
  it.each(IGNORED_IN_SERVICE.map((row) => [row.key, row.reason]))(
    'services.web.%s is a warning',
    (key, reason) => {
      expect(errorsOf(web(`${key}: x`))).toEqual([]);
      expect(warningsOf(web(`${key}: x`))).toEqual([`4:5 services.web.${key}: has no effect: ${reason}`]);
    },
  );

  it.each(IGNORED_AT_TOP.map((row) => [row.key, row.reason]))('%s at the top is a warning', (key, reason) => {
    expect(warningsOf(`${key}: '3'\nservices: { web: { image: a } }\n`)).toEqual([
      `1:1 ${key}: has no effect: ${reason}`,
    ]);
  });

  it.each(IGNORED_IN_DEPLOY.map((row) => [row.key, row.reason]))('deploy.%s is a warning', (key, reason) => {
    expect(warningsOf(web(`deploy:\n  ${key}: x`))).toEqual([
      `5:7 services.web.deploy.${key}: has no effect: ${reason}`,
    ]);
  });
});

describe('values that are refused', () => {
  it.each([
    ['network_mode: host', "lets a tenant reach the host's network"],
    ['network_mode: service:db', "joins a network that is not the tenant's own"],
    ['network_mode: container:x', "joins a network that is not the tenant's own"],
    ['network_mode: none', "every service is on its tenant's network"],
    ['volumes: ["/etc:/host"]', 'mounts a path of the host'],
    ['volumes: ["./a:/b"]', 'mounts a path of the host'],
    ['volumes: ["~/a:/b"]', 'mounts a path of the host'],
    ['volumes: ["C:\\\\a:/b"]', 'mounts a path of the host'],
    ['volumes: ["a/b:/c"]', 'mounts a path of the host'],
    ['volumes: [{ type: bind, source: /, target: /host }]', 'mounts a path of the host'],
    ['volumes: [{ type: npipe, source: a, target: /b }]', 'must be volume or tmpfs'],
    ['volumes: [{ type: volume, source: a }]', 'has no target'],
    ['volumes: ["data:relative"]', 'must be an absolute path in the container'],
    ['volumes: ["/a/../"]', 'nothing can be mounted there'],
    ['volumes: ["/proc/sys"]', 'nothing can be mounted there'],
    ['volumes: ["/data", "/data/"]', 'two mounts have the same target'],
    ['volumes: ["gone:/data"]', 'is not declared under the top-level volumes'],
    ['volumes: ["data:/b:ro:x"]', 'must be volume:target or volume:target:mode'],
    [
      'volumes: ["/var/run/docker.sock:/var/run/docker.sock"]',
      'whoever controls Docker controls the machine',
    ],
    ['tmpfs: /run:size=lots', 'must be such as size=64m'],
    ['tmpfs: /run:mode=rwx', 'must be octal such as mode=1777'],
    ['image: UPPER/case', 'is given twice; the first is on line 3'],
    ['user: "a b"', 'must be a user such as'],
    ['user: "$(id -u)"', 'must be a user such as'],
    ['working_dir: app', 'must be an absolute path'],
    ['hostname: "a;b"', 'must be a host name'],
    ['stop_signal: TERMINATE_NOW', 'must be a signal'],
    ['stop_grace_period: 10', 'must be a duration'],
    ['init: maybe', 'must be true or false'],
    ['command: a && b', 'outside quotes, but no shell reads it'],
    ['pull_policy: build', 'hosts do not build'],
    ['pull_policy: sometimes', 'must be one of missing, always, never'],
    ['mem_limit: 0', '0 would be no limit'],
    ['mem_limit: 1m', 'must be at least 6 MiB'],
    ['cpus: 0', 'must be a number from 0.01'],
    ['pids_limit: -1', 'would be no limit'],
    ['scale: 0', 'must be a whole number from 1 to 16'],
    ['deploy: { replicas: 17 }', 'must be a whole number from 1 to 16'],
    [
      'deploy: { resources: { limits: { memory: 64m }, reservations: { memory: 128m } } }',
      'reserves 128 MiB, more than the memory limit allows',
    ],
    [
      'deploy: { resources: { limits: { cpus: 1 }, reservations: { cpus: 2 } } }',
      'more than the limit allows',
    ],
    ['deploy: { resources: { reservations: { devices: [{ driver: nvidia }] } } }', 'GPUs are not supported'],
    ['restart: sometimes', 'must be one of no, always'],
    ['read_only: false', 'x-berth.profile: writable'],
    ['cap_add: [SYS_ADMIN]', 'lets a tenant reach beyond its container'],
    ['cap_add: [CHOWN]', 'comes with x-berth.profile: compatible'],
    ['security_opt: ["apparmor:unconfined"]', "weakens the container's confinement"],
    ['security_opt: ["no-new-privileges:false"]', "weakens the container's confinement"],
    ['sysctls: { kernel.panic: 1 }', 'changes the whole host'],
    ['sysctls: { vm.overcommit_memory: 1 }', 'changes the whole host'],
    ['ulimits: { nofiles: 1 }', 'did you mean `nofile`?'],
    ['ulimits: { nofile: { soft: 2, hard: 1 } }', 'the soft limit is above the hard limit'],
    ['ulimits: { rtprio: 50 }', 'take the processor from others'],
    ['healthcheck: { test: x, interval: 1ms }', 'must be at least 100 ms'],
    ['x-berth: { route: { port: 80, path: /a/../b } }', 'no empty part'],
    ['x-berth: { route: { port: 80, path: //a } }', 'no empty part'],
    ['ulimits: { nofile: { soft: 2 } }', 'needs both soft and hard'],
    ['extra_hosts: ["host:host-gateway"]', 'lets a tenant reach the host'],
    ['extra_hosts: ["host:not-an-ip"]', 'must name one IP address'],
    ['labels: { berth.tenant: other }', 'kept for Berth'],
    ['labels: ["berth.owner=x"]', 'kept for Berth'],
    ['logging: { driver: gelf }', 'is refused because'],
    ['logging: { options: { max-sice: 1m } }', 'did you mean `max-size`?'],
    ['logging: { options: { max-size: 100g } }', 'must be a size up to 1g'],
    ['logging: { driver: awslogs }', 'needs the option awslogs-group'],
    [
      'logging: { driver: awslogs, options: { awslogs-group: g, awslogs-credentials-endpoint: /x } }',
      'is not an option that may be set',
    ],
    ['healthcheck: { interval: 1s }', 'has no test'],
    ['healthcheck: { test: [curl, x] }', 'must begin with CMD, CMD-SHELL or NONE'],
    ['healthcheck: { test: [CMD] }', 'CMD takes a command'],
    ['healthcheck: { test: x, retries: 0 }', 'must be a whole number from 1'],
    ['depends_on: [gone]', '`gone` is not a service of this file'],
    ['depends_on: [web]', 'cannot depend on itself'],
    ['env_file: ${DIR}/.env', 'cannot hold a variable'],
    ['env_file: { required: false }', 'has no path'],
    ['environment: text', 'must be a mapping or a list'],
    ['environment: { A: [1] }', 'must be a single value'],
    ['environment: ["=x"]', 'must be KEY=value'],
    ['environment: { "A B": x }', 'cannot be the name of an environment variable'],
    ['networks: [gone]', 'is not declared under the top-level networks'],
    ['ports: [web]', 'must be a port'],
    ['ports: ["70000"]', 'must be a port'],
    ['x-berth: { route: { port: 0 } }', 'must be a whole number from 1 to 65535'],
    ['x-berth: { route: {} }', 'has no port'],
    ['x-berth: { route: { port: 80, path: "/a;b" } }', 'must be a path'],
    ['x-berth: { route: { port: 80, path: "/a\\n" } }', 'must be a path'],
    ['x-berth: { route: { port: 80, subdomain: a.b } }', 'must be one lower-case DNS label'],
    ['x-berth: { route: { port: 80, health: "/ HTTP" } }', 'must be a path'],
    ['x-berth: { strategy: rolling }', 'must be one of blue-green'],
    ['x-berth: { profile: root }', 'must be one of restricted'],
    ['x-berth: { drian: 3s }', 'did you mean `drain`?'],
    ['x-berth: { bake: 3s }', 'move it to the top-level x-berth'],
    ['deploy: { x-berth: {} }', '`x-berth` stands at the top level'],
    ['memory: 128m', '`memory` is not a key of a service: write mem_limit, or deploy.resources'],
    ['env: { A: b }', 'write environment'],
    ['build: .\nimages: a', 'did you mean `image`?'],
    ['labels: !reset []', 'the YAML tag `!reset` is not supported'],
  ])('%s', (body, reason) => {
    const found = only(body);
    expect(found).toContain(reason);
    expect(found).toMatch(/^[45]:\d+ services\.web/);
  });

  it.each([
    ['volumes: { data: { external: true } }', 'refused because an external volume'],
    ['volumes: { data: { driver: rclone } }', 'refused because hosts have no volume plug-ins'],
    ['volumes: { data: { driver_opts: { type: nfs } } }', 'it can mount a path of the host'],
    ['networks: { front: { external: true } }', 'refused because an external network'],
    ['x-berth: { release: { service: gone, command: a } }', '`gone` is not a service of this file'],
    ['x-berth: { release: { service: web } }', 'has no command'],
    ['x-berth: { release: { service: web, command: [] } }', 'must not be empty'],
    ['x-berth: { route: { port: 80 } }', 'move it to the x-berth of that service'],
    ['x-berth: { releese: {} }', 'did you mean `release`?'],
    ['serivces: {}', 'did you mean `services`?'],
    ['name: My App', 'must be a name of a-z'],
  ])('%s at the top', (rest, reason) => {
    const errors = errorsOf(web('tty: true', rest));
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(reason);
    expect(errors[0]).toMatch(/^5:/);
  });
});

describe('values that Compose knows in more than one form', () => {
  it.each([
    ['restart: unless-stopped', 'restart', 'always'],
    ['restart: "no"', 'restart', 'no'],
    ['restart: no', 'restart', 'no'],
    ['restart: on-failure', 'restart', 'on-failure'],
    ['restart: always\ndeploy: { restart_policy: { condition: none } }', 'restart', 'no'],
    ['pull_policy: if_not_present', 'pullPolicy', 'missing'],
    ['init: "yes"', 'init', true],
    ['scale: "3"', 'replicas', 3],
    ['entrypoint: []', 'entrypoint', []],
    ['sysctls: ["net.core.somaxconn=1024"]', 'sysctls', { 'net.core.somaxconn': '1024' }],
    [
      'extra_hosts: ["db:10.0.0.1", "six=::1", "old:[::2]"]',
      'extraHosts',
      { db: '10.0.0.1', six: '::1', old: '::2' },
    ],
    ['labels: ["a=b", "c"]', 'labels', { a: 'b', c: '' }],
    ['group_add: [1000, audio]', 'groupAdd', ['1000', 'audio']],
    [
      'logging: { driver: local }',
      'logging',
      { driver: 'local', options: { 'max-size': '10m', 'max-file': '3' } },
    ],
    ['logging: { driver: none }', 'logging', { driver: 'none', options: {} }],
    ['healthcheck: { disable: true }', 'healthcheck', undefined],
    ['healthcheck: { test: NONE }', 'healthcheck', undefined],
    ['environment: [A=1, "B=x=y", C=]', 'environment', { A: '1', B: 'x=y', C: '' }],
    [
      'environment: { A: 1.5, B: true, C: 0022, D: 12345678901234567890, E: null }',
      'environment',
      { A: '1.5', B: 'true', C: '0022', D: '12345678901234567890' },
    ],
    [
      'volumes: [{ type: tmpfs, target: /t, tmpfs: { size: 1048576, mode: 01777 } }]',
      'tmpfs',
      [{ target: '/t', sizeBytes: 1_048_576, mode: '1777' }],
    ],
  ] as const)('%s', (body, key, value) => {
    expect(webSpec(body)[key]).toEqual(value);
  });
});
