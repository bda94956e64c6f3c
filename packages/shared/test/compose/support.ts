import { readdirSync, readFileSync } from 'node:fs';
import type { Finding } from '../../src/compose/findings.ts';
import { formatFindings } from '../../src/compose/findings.ts';
import type { RenderResult } from '../../src/compose/render.ts';
import { renderTenant } from '../../src/compose/render.ts';
import type { Template } from '../../src/compose/template.ts';
import { parseTemplate } from '../../src/compose/template.ts';
import type { ServiceSpec, TenantSpec } from '../../src/domain/spec.ts';

const FIXTURES = new URL('./fixtures/', import.meta.url);

export function fixtureNames(): string[] {
  return readdirSync(FIXTURES)
    .filter((name) => name.endsWith('.yaml'))
    .toSorted();
}

export function fixture(name: string): string {
  return readFileSync(new URL(name, FIXTURES), 'utf8');
}

/** Env files that the fixtures name, as the CLI would have read them. */
export const ENV_FILES: Record<string, string> = {
  '.env': 'DJANGO_SETTINGS_MODULE=crm.settings\nSECRET_KEY=${SECRET_KEY}\n',
};

/** First line `runs` or `refused`, then every error and warning as a person sees it. */
export function findingsOf(name: string): string {
  const result = parseTemplate({ text: fixture(name), envFiles: ENV_FILES });
  const lines = (kind: string, findings: Finding[]): string[] =>
    findings.map((one) => `${kind} ${formatFindings(name, [one])}`);
  const errors = result.ok ? [] : result.errors;
  return `${[result.ok ? 'runs' : 'refused', ...lines('error', errors), ...lines('warning', result.warnings)].join('\n')}\n`;
}

/** The template of a text that must be good. */
export function templateOf(text: string, envFiles: Record<string, string> = {}): Template {
  const result = parseTemplate({ text, envFiles });
  if (!result.ok)
    throw new Error(`the template was refused:\n${formatFindings('compose.yaml', result.errors)}`);
  return result.template;
}

export function render(
  text: string,
  variables: Record<string, string> = {},
  envFiles: Record<string, string> = {},
): RenderResult {
  return renderTenant(templateOf(text, envFiles), variables);
}

/** The spec of a text and variables that must be good. */
export function specOf(
  text: string,
  variables: Record<string, string> = {},
  envFiles: Record<string, string> = {},
): TenantSpec {
  const result = render(text, variables, envFiles);
  if (!result.ok) throw new Error(`it was not rendered:\n${formatFindings('compose.yaml', result.errors)}`);
  return result.spec;
}

/** A file with one service `web`; `body` is written under it, indented. */
export function web(body: string, rest = ''): string {
  const indented = body
    .trim()
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n');
  return `services:\n  web:\n    image: shop:1\n${indented}\n${rest}`;
}

/** The one service of {@link web}. */
export function webSpec(body: string, variables: Record<string, string> = {}, rest = ''): ServiceSpec {
  const service = specOf(web(body, rest), variables).services.find((one) => one.name === 'web');
  if (service === undefined) throw new Error('no service web');
  return service;
}

/** Errors of a text as `line:column path: message`. */
export function errorsOf(text: string, envFiles: Record<string, string> = {}): string[] {
  const result = parseTemplate({ text, envFiles });
  return result.ok ? [] : short(result.errors);
}

export function warningsOf(text: string, envFiles: Record<string, string> = {}): string[] {
  return short(parseTemplate({ text, envFiles }).warnings);
}

export function short(findings: readonly Finding[]): string[] {
  return findings.map((one) => `${one.line}:${one.column} ${one.path}: ${one.message}`);
}
