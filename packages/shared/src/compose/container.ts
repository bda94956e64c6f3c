import type { ServiceSpec } from '../domain/spec.ts';
import type { Fields } from './fields.ts';
import type { Findings, Spot } from './findings.ts';
import type { Tree } from './positions.ts';
import { splitWords } from './shellwords.ts';
import { boolean, duration, pairs, scalar, show, text, texts } from './values.ts';

/** Stands for an image that a variable names, while a template is only checked. */
const IMAGE_TO_COME = 'to-be-filled-in';

const PATH_PART = '[a-z0-9]+(?:(?:\\.|__?|-+)[a-z0-9]+)*';
const IMAGE = new RegExp(
  `^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?/)?${PATH_PART}(?:/${PATH_PART})*` +
    '(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[a-f0-9]{64})?$',
);

/** Whether Docker would take it for the name of an image. */
export function isImage(text: string): boolean {
  return text.length <= 400 && IMAGE.test(text);
}

type ContainerKeys =
  | 'image'
  | 'pullPolicy'
  | 'command'
  | 'entrypoint'
  | 'user'
  | 'groupAdd'
  | 'workingDir'
  | 'hostname'
  | 'init'
  | 'tty'
  | 'stdinOpen'
  | 'stopSignal'
  | 'stopGraceMs'
  | 'labels';

/** What the container runs and how it is started and stopped. `at` is where a missing image is reported, if at all. */
export function readContainer(
  f: Findings,
  at: Spot | undefined,
  given: Fields,
): Pick<ServiceSpec, ContainerKeys> {
  const optional = <T>(key: string, read: (node: Tree) => T | undefined): T | undefined => {
    const node = given.get(key);
    return node === undefined ? undefined : read(node);
  };
  const command = optional('command', (node) => readCommand(f, node));
  const entrypoint = optional('entrypoint', (node) => readCommand(f, node));
  const user = optional('user', (node) =>
    text(
      f,
      node,
      'a user such as 1000, app or 1000:1000',
      /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?$/,
    ),
  );
  const workingDir = optional('working_dir', (node) =>
    text(f, node, 'an absolute path', /^\/[^\0]{0,1000}$/s),
  );
  const hostname = optional('hostname', (node) =>
    text(
      f,
      node,
      'a host name',
      /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?){0,4}$/,
    ),
  );
  const stopSignal = optional('stop_signal', (node) =>
    text(
      f,
      node,
      'a signal such as SIGTERM, SIGQUIT or 15',
      /^((SIG)?[A-Z]{2,8}[0-9]?([+-][0-9]{1,2})?|[1-9][0-9]?)$/,
    ),
  );
  return {
    image: readImage(f, at, given),
    pullPolicy: optional('pull_policy', (node) => readPullPolicy(f, node)) ?? 'missing',
    ...(command === undefined ? {} : { command }),
    ...(entrypoint === undefined ? {} : { entrypoint }),
    ...(user === undefined ? {} : { user }),
    groupAdd: optional('group_add', (node) => texts(f, node)) ?? [],
    ...(workingDir === undefined ? {} : { workingDir }),
    ...(hostname === undefined ? {} : { hostname }),
    init: optional('init', (node) => boolean(f, node)) ?? false,
    tty: optional('tty', (node) => boolean(f, node)) ?? false,
    stdinOpen: optional('stdin_open', (node) => boolean(f, node)) ?? false,
    ...(stopSignal === undefined ? {} : { stopSignal }),
    stopGraceMs: optional('stop_grace_period', (node) => duration(f, node)) ?? 10_000,
    labels: optional('labels', (node) => readLabels(f, node)) ?? {},
  };
}

function readImage(f: Findings, at: Spot | undefined, given: Fields): string {
  const image = given.get('image');
  const build = given.get('build');
  if (build !== undefined && image !== undefined) {
    f.warn(build, 'has no effect: hosts do not build; build and push the image in CI');
  }
  if (image === undefined) {
    const where = build ?? at;
    if (where === undefined) return IMAGE_TO_COME;
    f.error(
      where,
      build === undefined
        ? 'has no image; every service needs one'
        : 'hosts do not build: build and push in CI, and name the result with image',
    );
    return IMAGE_TO_COME;
  }
  const name = scalar(f, image, 'the name of an image');
  if (name === undefined) return IMAGE_TO_COME;
  if (isImage(name.text)) return name.text;
  f.error(image, `must be an image such as registry.example.com/shop:1.2, not ${show(image)}`);
  return IMAGE_TO_COME;
}

function readPullPolicy(f: Findings, node: Tree): ServiceSpec['pullPolicy'] | undefined {
  const found = scalar(f, node, 'one of missing, always, never');
  if (found === undefined) return undefined;
  switch (found.text) {
    case 'always':
    case 'never':
    case 'missing':
      return found.text;
    case 'if_not_present':
      return 'missing';
    case 'build':
      f.error(node, 'hosts do not build: build and push in CI, and use missing, always or never');
      return undefined;
    default:
      if (/^(daily|weekly|every_[0-9a-z]+)$/.test(found.text)) {
        f.warn(node, 'has no effect: images are pulled when a release needs them, not by the clock');
        return 'missing';
      }
      f.error(node, `must be one of missing, always, never, not ${show(node)}`);
      return undefined;
  }
}

/** A command in its list form, or as one text that is split into words. */
export function readCommand(f: Findings, node: Tree): string[] | undefined {
  if (node.kind === 'list') return texts(f, node);
  const line = scalar(f, node, 'a command, as a list or a text');
  if (line === undefined) return undefined;
  const split = splitWords(line.text);
  if (split.ok) return split.words;
  f.error(node, split.message);
  return undefined;
}

function readLabels(f: Findings, node: Tree): Record<string, string> {
  const labels = new Map<string, string>();
  for (const { key, value, node: at } of pairs(f, node)) {
    if (/^berth\./i.test(key))
      f.error(at, 'labels that begin with `berth.` are kept for Berth; choose another name');
    labels.set(key, value ?? '');
  }
  const traefik = [...labels.keys()].some((key) => key.startsWith('traefik.'));
  if (traefik) f.warn(node, '`traefik.` labels are passed on but route nothing here; use x-berth.route');
  return Object.fromEntries(labels);
}
