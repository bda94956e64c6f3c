import { SecretName, type SecretFile, type SecretRef } from '../domain/secret.ts';
import { fields } from './fields.ts';
import type { Findings } from './findings.ts';
import type { Tree } from './positions.ts';
import type { Filling } from './substitute.ts';
import { boolean, integer, isDeferred, isNull, items, pairs, quote, show, text } from './values.ts';

/** The tenant's secrets by the name that the template's services know them by. */
export type DeclaredSecrets = ReadonlyMap<string, string>;

const SECRETS_DIR = '/run/secrets';
const WHERE = 'the value is the tenant’s own, given with `berth tenant secret set`';
/** While only checking, no tenant is known, so every secret stands for itself. */
const UNKNOWN = { version: 1, id: '0'.repeat(16) };

/** The top-level `secrets`. Each is the tenant's secret of that name, or of the `name` it says. */
export function readDeclaredSecrets(f: Findings, node: Tree): DeclaredSecrets {
  const declared = new Map<string, string>();
  if (node.kind !== 'map') {
    f.error(node, 'must be a mapping');
    return declared;
  }
  for (const entry of node.entries) {
    let name = entry.key;
    if (!isNull(entry.value)) {
      const given = fields(f, entry.value, {
        what: 'a secret',
        known: ['name', 'external'],
        ignored: [
          { key: 'file', reason: WHERE },
          { key: 'environment', reason: WHERE },
          { key: 'labels', reason: 'nothing shows them' },
        ],
        refused: [
          { key: 'content', reason: `a value that stands in the file is no secret; ${WHERE}` },
          { key: 'driver', reason: `there are no secret drivers here; ${WHERE}` },
          { key: 'driver_opts', reason: `there are no secret drivers here; ${WHERE}` },
          { key: 'template_driver', reason: 'there are no secret drivers here; remove it' },
        ],
      });
      const nameNode = given.get('name');
      const external = given.get('external');
      // Compose of old wrote the name below `external`.
      const old =
        external?.kind === 'map' ? fields(f, external, { what: 'external', known: ['name'] }) : null;
      if (external !== undefined && old === null) boolean(f, external);
      const said = nameNode ?? old?.get('name');
      if (said !== undefined) name = text(f, said, 'the name of a secret') ?? name;
    }
    if (SecretName.safeParse(name).success) declared.set(entry.key, name);
    else f.error(entry, `${quote(name)} is not the name of a secret: letters, digits, "_", "." and "-"`);
  }
  return declared;
}

/** `secrets` of one service: files that only its containers see. */
export function readSecretFiles(filling: Filling, node: Tree, declared: DeclaredSecrets): SecretFile[] {
  const f = filling.findings;
  const files: SecretFile[] = [];
  if (node.kind === 'map' && node.entries.length === 0) return files;
  for (const item of items(f, node)) {
    const given =
      item.kind === 'map'
        ? fields(f, item, { what: 'a secret', known: ['source', 'target', 'uid', 'gid', 'mode'] })
        : null;
    const sourceNode = given === null ? item : given.get('source');
    if (sourceNode === undefined) {
      f.error(item, 'has no source: the name of a secret');
      continue;
    }
    const source = text(f, sourceNode, 'the name of a secret');
    const ref = source === undefined ? undefined : refOf(filling, sourceNode, source, declared);
    if (source === undefined || ref === undefined) continue;
    const target = targetOf(f, given?.get('target'), source);
    const uid = given?.get('uid');
    const gid = given?.get('gid');
    const mode = given?.get('mode');
    if (files.some((each) => each.target === target)) {
      f.error(item, `two secrets have the same target ${quote(target)}`);
      continue;
    }
    files.push({
      ...ref,
      target,
      uid: uid === undefined ? 0 : (integer(f, uid, 0, 4_294_967_294) ?? 0),
      gid: gid === undefined ? 0 : (integer(f, gid, 0, 4_294_967_294) ?? 0),
      mode: mode === undefined ? '0444' : modeOf(f, mode),
    });
  }
  return files;
}

/** `x-berth.secrets.env` of one service: variables whose values are secrets, as `{NAME: secret}` or `[secret]`. */
export function readSecretEnv(
  filling: Filling,
  node: Tree,
  declared: DeclaredSecrets,
  environment: Readonly<Record<string, string>>,
): Record<string, SecretRef> {
  const f = filling.findings;
  const found: Record<string, SecretRef> = {};
  for (const { key, value, node: at, deferred } of pairs(f, node)) {
    if (deferred) continue;
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) {
      f.error(at, `${quote(key)} cannot be the name of an environment variable`);
      continue;
    }
    if (Object.hasOwn(environment, key)) {
      f.error(at, `${quote(key)} stands under environment as well; take it away there`);
      continue;
    }
    const ref = refOf(filling, at, value ?? key, declared);
    if (ref !== undefined) found[key] = ref;
  }
  return found;
}

function refOf(filling: Filling, at: Tree, source: string, declared: DeclaredSecrets): SecretRef | undefined {
  const name = declared.get(source);
  const f = filling.findings;
  if (name === undefined) {
    f.error(at, `the secret ${quote(source)} is not declared under the top-level secrets`);
    return undefined;
  }
  const ref = refTo(filling, name);
  if (ref === undefined)
    f.error(
      at,
      `the secret ${quote(name)} has no value for this tenant; set it with \`berth tenant secret set\``,
    );
  return ref;
}

/** The tenant's secret of this name; while only checking, a stand-in for it. */
export function refTo(filling: Filling, name: string): SecretRef | undefined {
  return filling.mode === 'check' ? { name, ...UNKNOWN } : filling.secrets?.(name);
}

function targetOf(f: Findings, node: Tree | undefined, source: string): string {
  const fallback = `${SECRETS_DIR}/${source}`;
  if (node === undefined || isDeferred(node)) return fallback;
  const said = text(
    f,
    node,
    `a file name below ${SECRETS_DIR}, or an absolute path, without empty parts, . or ..`,
    /^(?!.*(\/\/|\/$))(?!(.*\/)?\.\.?(\/|$))[A-Za-z0-9_./+@=-]{1,200}$/,
  );
  if (said === undefined) return fallback;
  const target = said.startsWith('/') ? said : `${SECRETS_DIR}/${said}`;
  if (!/^\/(proc|sys|dev)(\/|$)/.test(target) && target !== SECRETS_DIR && target.split('/').length > 2)
    return target;
  f.error(node, `no secret can be put there, as in ${show(node)}; choose another target`);
  return fallback;
}

function modeOf(f: Findings, node: Tree): string {
  const found = text(f, node, 'an octal mode such as 0400', /^(0o)?0?[0-7]{3}$/);
  const digits = found?.replace(/^0o/, '') ?? '0444';
  return digits.length === 3 ? `0${digits}` : digits;
}
