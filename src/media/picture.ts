/** What a keyframe says of itself: the codec string that decoders want, and the size of its picture. */
export interface PictureFormat {
  readonly codec: string
  /** Pixels. */
  readonly width: number
  readonly height: number
}
