import { createHash } from 'node:crypto';
import { fileOf, tarOf, tarSize } from './tar.mjs';

/**
 * An archive as `docker save` writes it: images that share their layers, ready for `docker load`.
 * @param {{layers: import('./tar.mjs').Entry[][], images: {ref: string, config: object}[]}} contents
 * @returns {Promise<{stream: AsyncIterable<Buffer>, ids: string[]}>} ids are the images' `sha256:…`, in order
 */
export async function imageArchive({ layers, images }) {
  const diffIds = [];
  for (const layer of layers) diffIds.push(await digestOf(tarOf(layer)));
  const described = images.map(({ ref, config }) => {
    const text = JSON.stringify({
      architecture: { x64: 'amd64' }[process.arch] ?? process.arch,
      os: 'linux',
      created: '1970-01-01T00:00:00Z',
      config,
      rootfs: { type: 'layers', diff_ids: diffIds.map((digest) => `sha256:${digest}`) },
      history: layers.map(() => ({ created: '1970-01-01T00:00:00Z', created_by: 'examples/shop/build.mjs' })),
    });
    return { ref, text, digest: createHash('sha256').update(text).digest('hex') };
  });
  const manifest = described.map(({ ref, digest }) => ({
    Config: `${digest}.json`,
    RepoTags: [ref],
    Layers: diffIds.map((id) => `${id}.tar`),
  }));
  const entries = [
    ...layers.map((layer, i) => ({
      path: `${diffIds[i]}.tar`,
      type: 'file',
      mode: 0o644,
      size: tarSize(layer),
      read: () => tarOf(layer),
    })),
    ...described.map(({ text, digest }) => fileOf(`${digest}.json`, text)),
    fileOf('manifest.json', JSON.stringify(manifest)),
  ];
  return { stream: tarOf(entries), ids: described.map(({ digest }) => `sha256:${digest}`) };
}

async function digestOf(stream) {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}
