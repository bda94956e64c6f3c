import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { dockerJson, dockerRequest } from '../../scripts/bootstrap/docker-api.mjs';
import { nodeBin } from '../../scripts/bootstrap/toolchain.mjs';
import { imageArchive } from './image/archive.mjs';
import { baseEntries, baseKey } from './image/base.mjs';
import { fileOf } from './image/tar.mjs';

const appDir = join(dirname(fileURLToPath(import.meta.url)), 'app');

/** The instance that made an image, and what it was made from. */
const BUILT = 'berth.built';
const CONTENT = 'berth.content';

/**
 * Makes the example's images on a daemon that need not reach any registry. Done already means one list call.
 * @param {{dockerSocket: string, instance: string, registry?: string, versions?: string[], log?: (sentence: string) => void}} options
 *   `instance` is written on the images, and is what removeExample goes by
 * @returns {Promise<{images: {ref: string, id: string, version: string}[], cached: boolean, ms: number}>}
 */
export async function buildExample({
  dockerSocket,
  instance,
  registry = 'localhost:5000',
  versions = ['1', '2'],
  log = () => {},
}) {
  const begun = Date.now();
  const base = await baseEntries(existsSync(nodeBin) ? nodeBin : process.execPath);
  const app = appEntries();
  const content = createHash('sha256')
    .update(JSON.stringify([1, process.arch, baseKey(base), app.key]))
    .digest('hex');
  const wanted = versions.map((version) => ({ version, ref: `${registry}/shop-web:${version}` }));
  const present = await builtBy(dockerSocket, instance);
  const cached = wanted.map(({ version, ref }) => ({
    version,
    ref,
    id: present.find((image) => image.Labels[CONTENT] === content && image.RepoTags?.includes(ref))?.Id,
  }));
  if (cached.every((image) => image.id !== undefined))
    return { images: cached, cached: true, ms: Date.now() - begun };

  log(`building ${wanted.map(({ ref }) => ref).join(' and ')} from this machine's Node`);
  const { stream, ids } = await imageArchive({
    layers: [base, app.entries],
    images: wanted.map(({ version, ref }) => ({
      ref,
      config: configOf(version, { [BUILT]: instance, [CONTENT]: content }),
    })),
  });
  const body = Readable.from(stream, { objectMode: false });
  const { status, text } = await dockerRequest(dockerSocket, {
    method: 'POST',
    path: '/images/load?quiet=1',
    body,
    contentType: 'application/x-tar',
  });
  if (status >= 300 || text.includes('"errorDetail"'))
    throw new Error(`Docker did not take the example's images: ${text.trim()}`);
  const images = wanted.map((image, i) => ({ ...image, id: ids[i] }));
  return { images, cached: false, ms: Date.now() - begun };
}

/**
 * Removes the images this instance made, and no other.
 * @returns {Promise<{removed: string[], kept: {image: string, reason: string}[]}>} kept ones are still used by a container
 */
export async function removeExample({ dockerSocket, instance }) {
  const removed = [];
  const kept = [];
  for (const image of await builtBy(dockerSocket, instance)) {
    const tags = (image.RepoTags ?? []).filter((tag) => tag !== '<none>:<none>');
    // Removing an image's last name removes the image.
    for (const name of tags.length > 0 ? tags : [image.Id]) {
      const { status, text } = await dockerRequest(dockerSocket, {
        method: 'DELETE',
        path: `/images/${name}`,
      });
      if (status < 300 || status === 404) removed.push(name);
      else kept.push({ image: name, reason: text.trim() });
    }
  }
  return { removed, kept };
}

function builtBy(dockerSocket, instance) {
  const filters = encodeURIComponent(JSON.stringify({ label: [`${BUILT}=${instance}`] }));
  return dockerJson(dockerSocket, { path: `/images/json?filters=${filters}` });
}

function appEntries() {
  const files = readdirSync(appDir)
    .sort()
    .map((name) => ({ name, contents: readFileSync(join(appDir, name)) }));
  return {
    key: files.map(({ name, contents }) => [name, createHash('sha256').update(contents).digest('hex')]),
    entries: files.map(({ name, contents }) => fileOf(`app/${name}`, contents, 0o755)),
  };
}

function configOf(version, labels) {
  return {
    User: '10001:10001',
    Env: ['PATH=/usr/local/bin', `SHOP_VERSION=${version}`, 'NODE_ENV=production'],
    Cmd: ['/app/web'],
    WorkingDir: '/app',
    ExposedPorts: { '8080/tcp': {} },
    Labels: labels,
  };
}

const USAGE =
  'usage: node build.mjs --socket /path/to/docker.sock --instance NAME [--registry HOST] [--remove] [--json]';

async function command() {
  const { values } = parseArgs({
    options: {
      socket: { type: 'string' },
      instance: { type: 'string' },
      registry: { type: 'string' },
      remove: { type: 'boolean' },
      json: { type: 'boolean' },
    },
  });
  if (!values.socket || !values.instance) {
    console.error(USAGE);
    return 2;
  }
  const options = { dockerSocket: values.socket, instance: values.instance };
  const result = values.remove
    ? await removeExample(options)
    : await buildExample({
        ...options,
        ...(values.registry && { registry: values.registry }),
        log: (line) => console.error(line),
      });
  console.log(values.json ? JSON.stringify(result) : summary(result));
  return result.kept?.length ? 1 : 0;
}

function summary(result) {
  if (result.removed) return `removed: ${result.removed.join(', ') || 'nothing'}`;
  return result.images.map(({ ref, id }) => `${ref}  ${id}`).join('\n');
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  command().then(
    (code) => {
      process.exitCode = code;
    },
    (error) => {
      console.error(error.message);
      process.exitCode = 1;
    },
  );
}
