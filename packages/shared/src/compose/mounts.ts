import { digestOf } from '../domain/digest.ts';
import type { TmpfsMount, VolumeMount } from '../domain/spec.ts';
import { fields } from './fields.ts';
import type { Findings, Spot } from './findings.ts';
import type { Tree } from './positions.ts';
import { parseSize } from './units.ts';
import { boolean, isDeferred, items, itemsOrOne, scalar, show, size, text } from './values.ts';

export interface Mounts {
  volumes: VolumeMount[];
  tmpfs: TmpfsMount[];
  /** Named volumes, which the top level must declare. */
  named: { volume: string; at: Spot; shown: string }[];
  /** Some volume is only known once variables are filled in. */
  open: boolean;
}

const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,59}$/;
const INSTEAD = 'put the file into the image, pass it through environment, or keep data in a named volume';

/** `volumes` and `tmpfs` of one service. Host paths are refused: they would let a tenant reach the host. */
export function readMounts(
  f: Findings,
  service: string,
  volumes: Tree | undefined,
  tmpfs: Tree | undefined,
): Mounts {
  const mounts: Mounts = { volumes: [], tmpfs: [], named: [], open: false };
  const taken = new Set<string>();
  const claim = (target: string, at: Spot): boolean => {
    if (!taken.has(target)) return taken.add(target) !== undefined;
    f.error(at, 'two mounts have the same target');
    return false;
  };
  const add = (source: string | undefined, target: string, readOnly: boolean, at: Tree): void => {
    if (!claim(target, at)) return;
    const volume = source ?? anonymousVolume(service, target);
    mounts.volumes.push({ volume, target, readOnly });
    if (source !== undefined) mounts.named.push({ volume: source, at, shown: show(at) });
  };
  for (const item of volumes === undefined ? [] : items(f, volumes)) {
    if (item.kind === 'map') readLong(f, item, mounts, add, claim);
    else readShort(f, item, mounts, add);
  }
  for (const item of tmpfs === undefined ? [] : itemsOrOne(f, tmpfs)) {
    const mount = readTmpfs(f, item);
    if (mount !== undefined && claim(mount.target, item)) mounts.tmpfs.push(mount);
  }
  return mounts;
}

/** An anonymous volume keeps its data from deploy to deploy, so its name follows from where it is mounted. */
export function anonymousVolume(service: string, target: string): string {
  return `anon-${digestOf([service, target]).slice(0, 16)}`;
}

type Add = (source: string | undefined, target: string, readOnly: boolean, at: Tree) => void;

function readShort(f: Findings, item: Tree, mounts: Mounts, add: Add): void {
  const found = scalar(f, item, 'a volume such as data:/var/lib/data');
  if (found === undefined) {
    mounts.open ||= isDeferred(item);
    return;
  }
  const windows = /^[A-Za-z]:[\\/]/.test(found.text);
  if (windows || /^[.~/][^:]*:/.test(found.text) || /^~/.test(found.text)) {
    f.error(item, hostPath(found.text, show(item)));
    return;
  }
  const [first = '', second, mode, ...more] = found.text.split(':');
  if (more.length > 0) {
    f.error(item, `must be volume:target or volume:target:mode, not ${show(item)}`);
    return;
  }
  if (second === undefined) {
    const target = targetOf(f, item, first);
    if (target !== undefined) add(undefined, target, false, item);
    return;
  }
  const target = targetOf(f, item, second);
  const readOnly = readMode(f, item, mode);
  if (checkName(f, item, first) && target !== undefined) add(first, target, readOnly, item);
}

function readMode(f: Findings, item: Tree, mode: string | undefined): boolean {
  let readOnly = false;
  for (const option of mode === undefined ? [] : mode.split(',')) {
    if (option === 'ro') readOnly = true;
    else if (
      !['rw', 'z', 'Z', 'cached', 'delegated', 'consistent', 'nocopy', 'volume-nocopy'].includes(option)
    ) {
      f.error(item, `the mode of a volume must be ro or rw, not as in ${show(item)}`);
    } else if (option !== 'rw') {
      f.warn(item, `has no effect: only ro and rw count as the mode of a volume`);
    }
  }
  return readOnly;
}

function readLong(
  f: Findings,
  item: Tree,
  mounts: Mounts,
  add: Add,
  claim: (target: string, at: Spot) => boolean,
): void {
  const given = fields(f, item, {
    what: 'a volume',
    known: ['type', 'source', 'target', 'read_only', 'tmpfs', 'bind', 'volume'],
    ignored: [{ key: 'consistency', reason: 'it is for Docker on a Mac' }],
  });
  const typeNode = given.get('type');
  const sourceNode = given.get('source');
  const targetNode = given.get('target');
  const readOnlyNode = given.get('read_only');
  const type = typeNode === undefined ? 'volume' : scalar(f, typeNode, 'one of volume, tmpfs')?.text;
  const source = sourceNode === undefined ? undefined : scalar(f, sourceNode, 'the name of a volume')?.text;
  const readOnly = readOnlyNode === undefined ? false : (boolean(f, readOnlyNode) ?? false);
  const at = typeNode ?? item;
  if (type === 'bind') {
    f.error(at, hostPath(source ?? '', sourceNode === undefined ? 'it' : show(sourceNode)));
    return;
  }
  if (type !== undefined && type !== 'volume' && type !== 'tmpfs') {
    f.error(
      at,
      `must be volume or tmpfs, not ${show(at === item || typeNode === undefined ? item : typeNode)}`,
    );
    return;
  }
  if (targetNode === undefined) {
    f.error(item, 'has no target');
    return;
  }
  const raw = scalar(f, targetNode, 'an absolute path');
  const target = raw === undefined ? undefined : targetOf(f, targetNode, raw.text);
  if (type === undefined || target === undefined || isDeferred(sourceNode)) {
    mounts.open ||= isDeferred(typeNode) || isDeferred(targetNode) || isDeferred(sourceNode);
    return;
  }
  if (type === 'tmpfs') {
    const mount = readLongTmpfs(f, target, given.get('tmpfs'));
    if (claim(target, item)) mounts.tmpfs.push(mount);
    return;
  }
  checkVolumeOptions(f, given.get('volume'));
  if (sourceNode === undefined) add(undefined, target, readOnly, item);
  else if (source !== undefined && checkName(f, sourceNode, source))
    add(source, target, readOnly, sourceNode);
}

function checkVolumeOptions(f: Findings, node: Tree | undefined): void {
  if (node === undefined) return;
  fields(f, node, {
    what: 'volume',
    known: [],
    ignored: [
      {
        key: 'nocopy',
        reason: 'a new volume begins with what the image has at its target',
        harmless: ['false'],
      },
      { key: 'labels', reason: 'Berth labels the volumes' },
    ],
    refused: [{ key: 'subpath', reason: 'it is not supported; use a volume of its own' }],
  });
}

function readLongTmpfs(f: Findings, target: string, node: Tree | undefined): TmpfsMount {
  if (node === undefined) return { target };
  const given = fields(f, node, { what: 'tmpfs', known: ['size', 'mode'] });
  const sizeNode = given.get('size');
  const modeNode = given.get('mode');
  const sizeBytes = sizeNode === undefined ? undefined : size(f, sizeNode);
  const mode =
    modeNode === undefined
      ? undefined
      : text(f, modeNode, 'an octal mode such as 1777', /^0?o?[0-7]{3,4}$/)?.replace(/^0o?(?=[0-7]{3})/, '');
  return {
    target,
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    ...(mode === undefined ? {} : { mode }),
  };
}

/** `/run` or `/run:size=64m,mode=1777`. */
function readTmpfs(f: Findings, item: Tree): TmpfsMount | undefined {
  const found = scalar(f, item, 'a path such as /run or /run:size=64m');
  if (found === undefined) return undefined;
  const colon = found.text.indexOf(':');
  const target = targetOf(f, item, colon === -1 ? found.text : found.text.slice(0, colon));
  if (target === undefined) return undefined;
  const mount: TmpfsMount = { target };
  for (const option of colon === -1 ? [] : found.text.slice(colon + 1).split(',')) {
    const [key = '', value = ''] = option.split('=', 2);
    if (key === 'size') {
      const bytes = parseSize(value);
      if (bytes !== undefined && bytes > 0) mount.sizeBytes = bytes;
      else f.error(item, `the size of a tmpfs must be such as size=64m, not as in ${show(item)}`);
    } else if (key === 'mode') {
      if (/^[0-7]{3,4}$/.test(value)) mount.mode = value;
      else f.error(item, `the mode of a tmpfs must be octal such as mode=1777, not as in ${show(item)}`);
    } else if (
      ['rw', 'noexec', 'nosuid', 'nodev', 'exec', 'uid', 'gid', 'noatime', 'nr_inodes'].includes(key)
    ) {
      if (key !== 'rw') f.warn(item, `has no effect: only size and mode of a tmpfs count`);
    } else if (option !== '') {
      f.error(item, `a tmpfs takes size= and mode=, not what stands in ${show(item)}`);
    }
  }
  return mount;
}

function checkName(f: Findings, at: Tree, name: string): boolean {
  if (VOLUME_NAME.test(name)) return true;
  const path = name.includes('/') || name.includes('\\');
  f.error(
    at,
    path
      ? hostPath(name, show(at))
      : `must name a volume (letters, digits, "_", "." and "-"), not ${show(at)}`,
  );
  return false;
}

/** A target as Docker would see it: absolute, without `.`, `..` or a slash at the end. */
function targetOf(f: Findings, at: Tree, raw: string): string | undefined {
  if (!raw.startsWith('/') || raw.length > 1000 || /[\p{Cc}:]/u.test(raw)) {
    f.error(at, `the target must be an absolute path in the container, not as in ${show(at)}`);
    return undefined;
  }
  const parts: string[] = [];
  for (const part of raw.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  const target = `/${parts.join('/')}`;
  const reserved = ['/', '/proc', '/sys', '/dev'].includes(target) || /^\/(proc|sys)\//.test(target);
  if (!reserved) return target;
  f.error(at, `nothing can be mounted there, as in ${show(at)}; choose another target`);
  return undefined;
}

function hostPath(source: string, shown: string): string {
  if (/docker\.sock/.test(source)) {
    return `refused because ${shown} lets a tenant reach the host: whoever controls Docker controls the machine; remove it`;
  }
  return `refused because ${shown} mounts a path of the host, which lets a tenant reach the host; ${INSTEAD}`;
}
