/** What the services need of image registries. */
export interface Registry {
  /**
   * What an image's name means in its registry now. Errors: `image_not_found`, `registry_unreachable`,
   * `image_pull_failed` when the registry does not let us in.
   */
  resolve(image: string, signal: AbortSignal): Promise<ResolvedImage>;
}

export interface ResolvedImage {
  /** `sha256:…` of the manifest; of the index for an image of several platforms. */
  digest: string;
  mediaType: string;
}
