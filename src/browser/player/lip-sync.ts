/** How far sound and picture of one moment may be apart, live, where waiting for each other would cost lag. */
export const lipSync = {
  /**
   * Milliseconds that sound may be heard after its picture, where it takes longer: as it takes over nine metres,
   * less than half of what EBU R 37 allows. The picture waits for the rest.
   */
  behind: 25,
} as const
