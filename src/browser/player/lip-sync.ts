/** How far sound and picture of one moment may be apart, live, where waiting for each other would cost lag. */
export const lipSync = {
  /**
   * Milliseconds that sound may be heard after its picture, where it takes longer: less than it takes over seven metres, and
   * a third of what EBU R 37 allows. The picture waits for the rest.
   */
  behind: 20,
} as const
