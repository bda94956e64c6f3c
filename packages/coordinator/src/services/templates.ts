import { formatFindings, type Finding } from '@berth/shared/compose/findings';
import { renderTenant } from '@berth/shared/compose/render';
import { parseTemplate, type Template } from '@berth/shared/compose/template';
import { BerthError } from '@berth/shared/domain/errors';
import type { SecretRef } from '@berth/shared/domain/secret';
import type { TenantSpec } from '@berth/shared/domain/spec';
import type { ReleaseSource } from './records.ts';

export interface Parsed {
  template: Template;
  warnings: Finding[];
}

/** Errors: `invalid_compose` with every finding, in the order of the file. */
export function parseCompose(compose: string, envFiles: Record<string, string>): Parsed {
  const parsed = parseTemplate({ text: compose, envFiles });
  if (!parsed.ok) throw invalidCompose('The Compose file cannot be used', parsed.errors);
  return { template: parsed.template, warnings: parsed.warnings };
}

/** Errors: `invalid_compose` when a value that a variable filled in, or one that is missing, breaks a rule. */
export function renderFor(
  tenant: string,
  template: Template,
  variables: Readonly<Record<string, string>>,
  secrets?: ReadonlyMap<string, SecretRef>,
): { spec: TenantSpec; warnings: Finding[] } {
  const rendered = renderTenant(template, variables, secrets);
  if (!rendered.ok) {
    throw invalidCompose(`The template does not work out with the variables of ${tenant}`, rendered.errors);
  }
  return { spec: rendered.spec, warnings: rendered.warnings };
}

/** The error of findings that make a template useless. */
export function invalidCompose(what: string, errors: readonly Finding[]): BerthError {
  const shown = formatFindings('compose.yaml', errors.slice(0, 20));
  const more = errors.length > 20 ? `\n… and ${errors.length - 20} more` : '';
  return new BerthError('invalid_compose', `${what}:\n${shown}${more}`, { details: { findings: errors } });
}

/** Releases never change, so a template is parsed once and kept while it is in use. */
export class TemplateCache {
  readonly #kept = new Map<string, Template>();
  readonly #most: number;

  constructor(most = 50) {
    this.#most = most;
  }

  of(release: ReleaseSource): Template {
    const key = `${release.app} ${release.release} ${release.digest}`;
    const template = this.#kept.get(key) ?? parseCompose(release.compose, release.envFiles).template;
    this.#kept.delete(key);
    this.#kept.set(key, template);
    if (this.#kept.size > this.#most) {
      const oldest = this.#kept.keys().next();
      if (oldest.done !== true) this.#kept.delete(oldest.value);
    }
    return template;
  }
}
