/**
 * Which of several encoders: the first codec with one that keeps up, and of that codec's the quickest. Where none keeps up, as
 * on a machine that is busy just now, the quickest of all.
 */

/**
 * @param codecs the wanted ones first; each with the ways to encode it
 * @param timeOf milliseconds that a picture takes; undefined where it cannot be had, or not one by one
 * @param enough milliseconds within which an encoder keeps up
 */
export async function chooseEncoder<Config>(
  codecs: readonly (readonly Config[])[],
  timeOf: (config: Config) => Promise<number | undefined>,
  enough: number,
): Promise<Config | undefined> {
  let quickest: { readonly config: Config; readonly spent: number } | undefined
  for (const configs of codecs) {
    // One after the other: beside each other they would take each other's time.
    for (const config of configs) {
      const spent = await timeOf(config)
      if (spent !== undefined && (quickest === undefined || spent < quickest.spent))
        quickest = { config, spent }
    }
    if (quickest !== undefined && quickest.spent < enough) break
  }
  return quickest?.config
}
