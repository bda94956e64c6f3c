import type { SecretRef } from '../domain/secret.ts';
import type { Signable } from '../domain/signature.ts';
import { DATABASE_VARIABLE } from '../domain/database.ts';
import { asksForManaged } from './database.ts';
import { Findings, type Finding } from './findings.ts';
import { openPlaces } from './open-places.ts';
import { readTree } from './positions.ts';
import { renderTenant } from './render.ts';
import type { Template } from './template.ts';

export interface SignableSource {
  app: string;
  release: number;
  template: Template;
  /** The release's own variables. */
  set: Readonly<Record<string, string>>;
  /** By service: the image's reference with its digest. */
  images: Readonly<Record<string, string>>;
}

export type SignableResult =
  { ok: true; signable: Signable; warnings: Finding[] } | { ok: false; errors: Finding[] };

/** Stands in for what a tenant gives; it never reaches what is signed. */
const STAND_IN = 'x';

/**
 * What a signature of a release holds fast, from the files that it is made of. Whoever signs works this out from the own
 * files; what the coordinator keeps is not asked. Errors are places that a tenant's variables must not decide. Never throws.
 */
export function signableOf({ app, release, template, set, images }: SignableSource): SignableResult {
  const findings = new Findings();
  const tree = readTree(template.text, findings);
  const fixed = { ...set, BERTH_APP: app, BERTH_RELEASE: String(release) };
  if (tree === undefined) return { ok: false, errors: findings.errors };
  // Where it is the address of a database that Berth makes, it is a secret's name, which is signed, and no variable.
  const closed = asksForManaged(tree) ? { ...fixed, [DATABASE_VARIABLE]: STAND_IN } : fixed;
  const open = openPlaces(tree, template.services, template.envFiles, closed, findings);
  if (findings.failed) return { ok: false, errors: findings.errors };
  const rendered = renderTenant(template, { ...standIns(template), ...fixed }, new AnySecret());
  if (!rendered.ok) return { ok: false, errors: rendered.errors };
  const services = rendered.spec.services.map((service) => ({
    ...service,
    image: (Object.hasOwn(images, service.name) ? images[service.name] : undefined) ?? service.image,
  }));
  const signable: Signable = { app, release, open, spec: { ...rendered.spec, services } };
  return { ok: true, signable, warnings: findings.warnings };
}

/** Every tenant has its own secrets; of them only the names are signed. */
class AnySecret extends Map<string, SecretRef> {
  override get(name: string): SecretRef {
    return { name, version: 1, id: '0'.repeat(16) };
  }
}

function standIns(template: Template): Record<string, string> {
  return Object.fromEntries(
    template.variables.flatMap((each) => (each.default === undefined ? [[each.name, STAND_IN]] : [])),
  );
}
