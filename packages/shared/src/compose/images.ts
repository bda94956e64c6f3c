/**
 * Widely used images whose entrypoint starts as root, changes the owner of its files and then drops to another user.
 * Under the default profile that fails at start, so the template's author hears of it before a tenant does.
 */
const START_AS_ROOT = new Set([
  'caddy',
  'couchdb',
  'drupal',
  'elasticsearch',
  'ghost',
  'gitea/gitea',
  'httpd',
  'influxdb',
  'joomla',
  'mariadb',
  'matomo',
  'mediawiki',
  'mongo',
  'mysql',
  'nextcloud',
  'nginx',
  'postgres',
  'postgis/postgis',
  'pgvector/pgvector',
  'rabbitmq',
  'redis',
  'timescale/timescaledb',
  'valkey/valkey',
  'wordpress',
]);

export function startsAsRoot(image: string): boolean {
  const name = image
    .replace(/@.*$/, '')
    .replace(/:[^:/]*$/, '')
    .replace(/^(?:docker\.io|index\.docker\.io)\//, '')
    .replace(/^library\//, '');
  return START_AS_ROOT.has(name);
}
