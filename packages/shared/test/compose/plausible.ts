import fc from 'fast-check';

/** For each key, values that are right beside ones that are nearly right; most services made of them are good. */
const VALUES: Readonly<Record<string, readonly unknown[]>> = {
  image: [
    'shop:1',
    'registry.example.com:5000/a/b:1.2',
    '${REG:-localhost:5000}/shop:${TAG:-1}',
    'redis',
    'shop:${TAG}',
  ],
  command: ['run --all', ['a', '${A:-b c}'], [], 'sh -c "a && b"', 'x $$y'],
  entrypoint: [['/init'], '/init', ''],
  environment: [{ A: 1, B: 'x$$', C: null }, ['A=1', 'TOKEN', 'U=${URL-http://x}'], {}],
  env_file: ['.env', ['.env', { path: 'gone.env', required: false }]],
  healthcheck: [
    { test: 'true' },
    { test: ['CMD', 'x'], interval: '${EVERY:-2s}' },
    { disable: true },
    { test: ['CMD-SHELL', 'a'], retries: '3' },
  ],
  depends_on: [
    ['db'],
    { db: { condition: 'service_started' } },
    { gone: { required: false } },
    { db: { condition: 'service_healthy' } },
  ],
  volumes: [
    ['data:/data'],
    ['/cache', 'data:/x:ro'],
    [{ type: 'volume', source: 'data', target: '/t' }],
    ['${V:-data}:/y'],
    ['${W}:/z'],
  ],
  tmpfs: ['/run', ['/run', '/tmp:size=${T:-64m}']],
  deploy: [
    { replicas: 2 },
    { resources: { limits: { cpus: '0.5', memory: '${MEM:-64M}' } } },
    { mode: 'global' },
  ],
  mem_limit: ['64m', '1g', 67_108_864, '${MEM:-128m}'],
  cpus: [1, '0.5', 1.5],
  pids_limit: [100],
  stop_grace_period: ['10s', '1m30s', '0s'],
  stop_signal: ['SIGINT', 'SIGTERM'],
  user: ['1000', 1000, 'app:app', '${USER_ID:-7}'],
  init: [true, 'false', '${INIT:-true}'],
  logging: [{ driver: 'json-file', options: { 'max-size': '${LOG:-5m}' } }, { driver: 'none' }],
  labels: [{ a: 'b' }, ['c=d', 'traefik.enable=true'], {}],
  working_dir: ['/app'],
  shm_size: ['64m'],
  ulimits: [{ nofile: 1024 }, { nofile: { soft: 1, hard: 2 } }],
  sysctls: [{ 'net.core.somaxconn': 1024 }, ['kernel.shmmax=1']],
  extra_hosts: [['a:10.0.0.1'], { b: '::1' }],
  restart: ['always', 'no', false, 'unless-stopped', 'on-failure:3', 'sometimes'],
  pull_policy: ['always', 'missing', 'daily'],
  read_only: [true, false],
  cap_drop: [['ALL']],
  security_opt: [['no-new-privileges:true']],
  ports: [['80:80'], [8080], ['${PORT:-1}:3000', '443:443'], [{ target: 80, published: 8080 }], ['${P}:80']],
  container_name: ['x'],
  networks: [['default'], { default: null }],
  privileged: [false, true],
  'x-berth': [
    { route: { port: '${PORT:-80}' } },
    { route: { port: 80, path: '/a', subdomain: 'api' }, drain: '5s' },
    { strategy: 'recreate' },
    { profile: 'compatible' },
    { profile: '${PROFILE:-writable}', strategy: 'blue-green' },
  ],
  'x-note': ['anything', { a: '$$' }],
};

/** Variables that {@link VALUES} name without a default. */
export const PLAUSIBLE_VARIABLES = { TAG: '7', W: 'data', P: '8080' };

const service = fc
  .uniqueArray(fc.constantFrom(...Object.keys(VALUES).filter((key) => key !== 'image')), { maxLength: 6 })
  .chain((keys) =>
    fc.tuple(
      ...['image', ...keys].map((key) =>
        fc.constantFrom(...(VALUES[key] ?? [])).map((value) => [key, value] as const),
      ),
    ),
  )
  .map((pairs) => Object.fromEntries(pairs));

/** A document that is probably a good compose file. */
export const plausibleDocument = fc.record({
  services: fc.record({
    web: service,
    db: service.map((body) =>
      Object.fromEntries(Object.entries(body).filter(([key]) => key !== 'depends_on')),
    ),
  }),
  volumes: fc.constant({ data: null }),
  'x-berth': fc.constantFrom<Record<string, unknown>>(
    {},
    { bake: '1s' },
    { profile: 'compatible' },
    { release: { service: 'web', command: 'go' } },
  ),
});
