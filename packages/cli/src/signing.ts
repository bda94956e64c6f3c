import type { Pin } from '@berth/shared/api/schemas';
import { formatFindings, type Finding } from '@berth/shared/compose/findings';
import { signableOf } from '@berth/shared/compose/signable';
import { parseTemplate, type Template } from '@berth/shared/compose/template';
import { imagesOf } from '@berth/shared/compose/template-images';
import { BerthError } from '@berth/shared/domain/errors';
import { parseImage, pinnedReference } from '@berth/shared/domain/image';
import {
  digestOption,
  servicesToSay,
  setOption,
  variablesToSay,
  type ToSign,
} from '@berth/shared/domain/sign-command';
import type { Signable } from '@berth/shared/domain/signature';
import { UsageError } from './exit-codes.ts';

/** What a signer knows without the coordinator: the own files, variables and digests. */
export interface OwnRelease {
  app: string;
  file: string;
  compose: string;
  envFiles: Readonly<Record<string, string>>;
  set: Readonly<Record<string, string>>;
  /** By service or by image, as the builds said. */
  digests: ReadonlyMap<string, string>;
  /** `coordinator`: a digest that the signer does not know is taken from its answer. */
  trust: 'nobody' | 'coordinator';
}

/** Whether these files can be signed at all, before anything is made of them. Errors: `invalid_compose`, UsageError. */
export function checkSignable(own: OwnRelease): void {
  const template = templateOf(own);
  const images = namesOf(own, template);
  const open = own.trust === 'coordinator' ? [] : withoutDigest(own, images);
  if (open.length > 0) {
    const named = open.map(([service, image]) => `${image} (service ${service})`);
    throw new UsageError(
      `What ${named.join(', ')} ${named.length === 1 ? 'is' : 'are'} would be the coordinator's word alone.`,
      `Say ${open.map(([service]) => digestOption(service)).join(' ')} as your build printed it, write the digest into the file, or say --trust-digests to sign what the coordinator found.`,
    );
  }
  signable(own, template, 1, Object.fromEntries(images));
}

/**
 * What is to be signed, worked out from the own files; of the coordinator's answer only the release's number is used, and,
 * where the signer says so, digests. Errors: `conflict` where it answered something else than what was given to it.
 */
export function signableFrom(
  own: OwnRelease,
  release: number,
  pins: Readonly<Record<string, Pin>>,
): Signable {
  const template = templateOf(own);
  const references: Record<string, string> = {};
  for (const [service, image] of namesOf(own, template)) {
    const pin = Object.hasOwn(pins, service) ? pins[service] : undefined;
    const digest = digestOf(own, service, image) ?? (own.trust === 'coordinator' ? pin?.digest : undefined);
    if (digest === undefined)
      throw new UsageError(
        `No digest is known of ${image} (service ${service}).`,
        `Say --image-digest ${service}=sha256:…`,
      );
    const reference = pinnedReference(image, digest);
    if (pin?.reference !== reference)
      throw new BerthError(
        'conflict',
        `Not signed: release ${release} of ${own.app} has ${pin?.reference ?? 'no pinned image'} for ${service}, and yours is ${reference}. Either the tag moved since your build, or the coordinator is not to be trusted.`,
        { details: { service, theirs: pin?.reference ?? null, yours: reference } },
      );
    references[service] = reference;
  }
  return signable(own, template, release, references);
}

function signable(
  own: OwnRelease,
  template: Template,
  release: number,
  images: Record<string, string>,
): Signable {
  const made = signableOf({ app: own.app, release, template, set: own.set, images });
  if (!made.ok) throw refused(own, 'It cannot be signed', made.errors);
  return made.signable;
}

function templateOf(own: OwnRelease): Template {
  const parsed = parseTemplate({ text: own.compose, envFiles: { ...own.envFiles } });
  if (!parsed.ok) throw refused(own, 'The Compose file cannot be used', parsed.errors);
  return parsed.template;
}

function namesOf(own: OwnRelease, template: Template): Map<string, string> {
  const found = imagesOf(template, { ...own.set, BERTH_APP: own.app });
  if (!found.ok) throw refused(own, 'The images of the release are not all known', found.errors);
  return new Map(found.images.map(({ service, image }) => [service, image]));
}

function withoutDigest(own: OwnRelease, images: ReadonlyMap<string, string>): [string, string][] {
  return [...images].filter(([service, image]) => digestOf(own, service, image) === undefined);
}

/**
 * Which options these files still need before they can be signed: variables and digests. What the coordinator says of the
 * release only tells what to ask for; a signer without a file hears of all that it knows.
 */
export function openOptions(own: OwnRelease | null, given: OpenGiven, said: ToSign): string[] {
  const parsed = own === null ? null : parseTemplate({ text: own.compose, envFiles: { ...own.envFiles } });
  const used = parsed?.ok === true ? parsed.template.variables.map(({ name }) => name) : null;
  const variables = variablesToSay(said).filter(
    (name) => !Object.hasOwn(given.set, name) && (used === null || used.includes(name)),
  );
  const found =
    own === null || parsed?.ok !== true
      ? null
      : imagesOf(parsed.template, { ...own.set, BERTH_APP: own.app });
  const services =
    own !== null && found?.ok === true
      ? withoutDigest(own, new Map(found.images.map(({ service, image }) => [service, image]))).map(
          ([service]) => service,
        )
      : servicesToSay(said).filter(
          (service) =>
            !given.digests.has(service) && !given.digests.has(said.pins[service]?.image ?? service),
        );
  return [...variables.map(setOption), ...(given.trust === 'coordinator' ? [] : services.map(digestOption))];
}

/** What was typed, of a file that may not have been. */
export type OpenGiven = Pick<OwnRelease, 'set' | 'digests' | 'trust'>;

function digestOf(own: OwnRelease, service: string, image: string): string | undefined {
  return own.digests.get(service) ?? own.digests.get(image) ?? parseImage(image).digest ?? undefined;
}

function refused(own: OwnRelease, what: string, errors: readonly Finding[]): BerthError {
  return new BerthError('invalid_compose', `${what}:\n${formatFindings(own.file, errors.slice(0, 20))}`, {
    details: { findings: errors, file: own.file },
  });
}

/** `--image-digest web=sha256:…`; also `registry/image:tag=sha256:…`. Errors: UsageError. */
export function parseDigests(given: readonly string[]): Map<string, string> {
  return new Map(
    given.map((text) => {
      const at = text.lastIndexOf('=');
      const digest = text.slice(at + 1);
      if (at <= 0 || !/^sha256:[0-9a-f]{64}$/.test(digest))
        throw new UsageError(`--image-digest ${text} is not SERVICE=sha256:… with 64 hex digits.`);
      return [text.slice(0, at), digest];
    }),
  );
}
