/** What only the name of an engine tells. */

/** Apple's own engine; all others that name it name another one too. */
export const isAppleWebKit = (): boolean =>
  /applewebkit/i.test(navigator.userAgent) && !/chrome|chromium|android/i.test(navigator.userAgent)
