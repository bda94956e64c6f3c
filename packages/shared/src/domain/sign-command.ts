import { parseImage } from './image.ts';

/** What of a release says which options its signing takes. */
export interface ToSign {
  app: string;
  release: number;
  /** By service, as the release was made. */
  pins: Readonly<Record<string, { image: string }>>;
  variables: Readonly<Record<string, string>>;
}

/** The line is there to be copied into a shell: names that mean something to one are left out, whoever told them. */
const PLAIN = /^[\w][\w.-]*$/;

/** Services whose image the file does not name by digest: whoever signs says what the build made of them. */
export function servicesToSay({ pins }: Pick<ToSign, 'pins'>): string[] {
  return Object.entries(pins).flatMap(([service, { image }]) =>
    PLAIN.test(service) && parseImage(image).digest === null ? [service] : [],
  );
}

export function variablesToSay({ variables }: Pick<ToSign, 'variables'>): string[] {
  return Object.keys(variables).filter((name) => PLAIN.test(name));
}

export function setOption(name: string): string {
  return `--set ${name}=…`;
}

export function digestOption(service: string): string {
  return `--image-digest ${service}=sha256:…`;
}

/**
 * The command that signs a release, with every option that it needs. Values stay open: a digest that was copied from here
 * would be the coordinator's word, which a signature is to do without.
 */
export function signCommand({ app, release, pins, variables }: ToSign, key = 'ci'): string {
  const set = variablesToSay({ variables }).map(setOption);
  const digests = servicesToSay({ pins }).map(digestOption);
  return [
    `berth release sign ${app} ${release} -f compose.yaml`,
    ...set,
    ...digests,
    `--key ${key}.key`,
  ].join(' ');
}
