/** What a keyframe says of itself: the codec string that decoders want, and the size of its picture. */
export interface PictureFormat {
  readonly codec: string
  /** Pixels. */
  readonly width: number
  readonly height: number
}

/** How long a picture lasts where nothing says it, microseconds: 30 in a second. */
export const usualPictureDuration = 33_333
