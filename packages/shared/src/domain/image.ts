/** An image's name in its parts, as Docker reads it. */
export interface ImageName {
  /** As written: `registry.example.com:5000/shop`, without tag and digest. */
  name: string;
  /** Host and port; `docker.io` when the name has none. */
  registry: string;
  /** What the registry calls it: `library/nginx` for `nginx`. */
  repository: string;
  /** Null when there is only a digest; `latest` when there is neither. */
  tag: string | null;
  /** `sha256:` and 64 hex characters. */
  digest: string | null;
}

const HUB = 'docker.io';
const HUB_NAMES: readonly string[] = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];

/** Takes a name apart that the compose room has accepted. Never throws. */
export function parseImage(image: string): ImageName {
  const [named = '', digest = null] = image.split('@');
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const name = colon === -1 ? named : named.slice(0, colon);
  const tag = colon === -1 ? (digest === null ? 'latest' : null) : named.slice(colon + 1);
  const registry = registryOf(name);
  const path = name.startsWith(`${registry}/`) ? name.slice(registry.length + 1) : name;
  if (!HUB_NAMES.includes(registry)) return { name, registry, repository: path, tag, digest };
  return { name, registry: HUB, repository: path.includes('/') ? path : `library/${path}`, tag, digest };
}

/** The host part of a reference. */
export function registryOf(image: string): string {
  const first = image.split('/')[0] ?? '';
  const isHost = image.includes('/') && (/[.:]/.test(first) || first === 'localhost');
  return isHost ? first : HUB;
}

/** The same image by its content: no tag, so that nobody can move it. */
export function pinnedReference(image: string, digest: string): string {
  return `${parseImage(image).name}@${digest}`;
}
