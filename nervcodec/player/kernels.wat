;; Kernels of the player's engine 'wasm', exact integer arithmetic on 16-bit feature maps.
;;
;; A map has its channels in pairs: a plane holds, for each pixel, the values of channels 2 p and
;; 2 p + 1, 16 bits each. A column of zeros behind each row, a row of zeros above and one below let
;; a 3 x 3 kernel read beyond the edges; so a plane is one run of pixels. Addresses and steps are
;; in bytes.
;;
;; kernels.wasm is this file as `wat2wasm kernels.wat` compiles it.
(module
  (memory (import "player" "memory") 1)

  ;; Convolve: for each pair of outputs and each run of 16 pixels, add up the terms (a pair of
  ;; inputs under one tap: where it lies from the pixel, and two pairs of weights).
  (func (export "convolve")
    (param $x i32)            ;; first pixel of the input
    (param $out i32)          ;; first pixel of the output
    (param $outPlane i32)     ;; step from a pair of outputs to the next
    (param $nPairs i32)       ;; of outputs
    (param $offsets i32)      ;; i32 for each term
    (param $offsetsStep i32)  ;; step from the offsets of a pair of outputs to those of the next
    (param $weights i32)      ;; for each pair and term: i16 w[even][0], w[even][1], w[odd][..]
    (param $nTerms i32)
    (param $biases i32)       ;; i32 for each output, with half of what the shift drops
    (param $shift i32)        ;; bits that are dropped
    (param $nPixels i32)
    (param $residual i32)     ;; first pixel of a map that is added, of the output's shape; or 0
    (param $wide i32)         ;; 1: outputs are 32-bit values, a plane for each; 0: clipped pairs
    (local $pixel i32) (local $pair i32) (local $term i32)
    (local $at i32) (local $offset i32) (local $weight i32) (local $target i32) (local $add i32)
    (local $v0 v128) (local $v1 v128) (local $v2 v128) (local $v3 v128)
    (local $w0 v128) (local $w1 v128)
    (local $a0 v128) (local $a1 v128) (local $a2 v128) (local $a3 v128)
    (local $b0 v128) (local $b1 v128) (local $b2 v128) (local $b3 v128)
    (loop $pixels
      (local.set $pair (i32.const 0))
      (local.set $weight (local.get $weights))
      (local.set $target (i32.add (local.get $out) (i32.shl (local.get $pixel) (i32.const 2))))
      (local.set $add (i32.add (local.get $residual) (i32.shl (local.get $pixel) (i32.const 2))))
      (loop $pairs
        (local.set $a0 (v128.load32_splat
          (i32.add (local.get $biases) (i32.shl (local.get $pair) (i32.const 3)))))
        (local.set $b0 (v128.load32_splat offset=4
          (i32.add (local.get $biases) (i32.shl (local.get $pair) (i32.const 3)))))
        (local.set $a1 (local.get $a0)) (local.set $a2 (local.get $a0))
        (local.set $a3 (local.get $a0))
        (local.set $b1 (local.get $b0)) (local.set $b2 (local.get $b0))
        (local.set $b3 (local.get $b0))
        (local.set $offset
          (i32.add (local.get $offsets) (i32.mul (local.get $pair) (local.get $offsetsStep))))
        (local.set $term (local.get $nTerms))
        (loop $terms
          (local.set $at (i32.add
            (i32.add (local.get $x) (i32.shl (local.get $pixel) (i32.const 2)))
            (i32.load (local.get $offset))))
          (local.set $v0 (v128.load (local.get $at)))
          (local.set $v1 (v128.load offset=16 (local.get $at)))
          (local.set $v2 (v128.load offset=32 (local.get $at)))
          (local.set $v3 (v128.load offset=48 (local.get $at)))
          (local.set $w0 (v128.load32_splat (local.get $weight)))
          (local.set $w1 (v128.load32_splat offset=4 (local.get $weight)))
          (local.set $a0 (i32x4.add (local.get $a0)
            (i32x4.dot_i16x8_s (local.get $v0) (local.get $w0))))
          (local.set $a1 (i32x4.add (local.get $a1)
            (i32x4.dot_i16x8_s (local.get $v1) (local.get $w0))))
          (local.set $a2 (i32x4.add (local.get $a2)
            (i32x4.dot_i16x8_s (local.get $v2) (local.get $w0))))
          (local.set $a3 (i32x4.add (local.get $a3)
            (i32x4.dot_i16x8_s (local.get $v3) (local.get $w0))))
          (local.set $b0 (i32x4.add (local.get $b0)
            (i32x4.dot_i16x8_s (local.get $v0) (local.get $w1))))
          (local.set $b1 (i32x4.add (local.get $b1)
            (i32x4.dot_i16x8_s (local.get $v1) (local.get $w1))))
          (local.set $b2 (i32x4.add (local.get $b2)
            (i32x4.dot_i16x8_s (local.get $v2) (local.get $w1))))
          (local.set $b3 (i32x4.add (local.get $b3)
            (i32x4.dot_i16x8_s (local.get $v3) (local.get $w1))))
          (local.set $offset (i32.add (local.get $offset) (i32.const 4)))
          (local.set $weight (i32.add (local.get $weight) (i32.const 8)))
          (br_if $terms
            (local.tee $term (i32.sub (local.get $term) (i32.const 1)))))
        (local.set $a0 (i32x4.shr_s (local.get $a0) (local.get $shift)))
        (local.set $a1 (i32x4.shr_s (local.get $a1) (local.get $shift)))
        (local.set $a2 (i32x4.shr_s (local.get $a2) (local.get $shift)))
        (local.set $a3 (i32x4.shr_s (local.get $a3) (local.get $shift)))
        (local.set $b0 (i32x4.shr_s (local.get $b0) (local.get $shift)))
        (local.set $b1 (i32x4.shr_s (local.get $b1) (local.get $shift)))
        (local.set $b2 (i32x4.shr_s (local.get $b2) (local.get $shift)))
        (local.set $b3 (i32x4.shr_s (local.get $b3) (local.get $shift)))
        (if (local.get $wide)
          (then
            (v128.store (local.get $target) (local.get $a0))
            (v128.store offset=16 (local.get $target) (local.get $a1))
            (v128.store offset=32 (local.get $target) (local.get $a2))
            (v128.store offset=48 (local.get $target) (local.get $a3))
            (local.set $target (i32.add (local.get $target) (local.get $outPlane)))
            (v128.store (local.get $target) (local.get $b0))
            (v128.store offset=16 (local.get $target) (local.get $b1))
            (v128.store offset=32 (local.get $target) (local.get $b2))
            (v128.store offset=48 (local.get $target) (local.get $b3)))
          (else
            (if (local.get $residual)
              (then
                (local.set $v0 (v128.load (local.get $add)))
                (local.set $v1 (v128.load offset=16 (local.get $add)))
                (local.set $v2 (v128.load offset=32 (local.get $add)))
                (local.set $v3 (v128.load offset=48 (local.get $add)))
                (local.set $a0 (i32x4.add (local.get $a0) (i32x4.shr_s
                  (i32x4.shl (local.get $v0) (i32.const 16)) (i32.const 16))))
                (local.set $a1 (i32x4.add (local.get $a1) (i32x4.shr_s
                  (i32x4.shl (local.get $v1) (i32.const 16)) (i32.const 16))))
                (local.set $a2 (i32x4.add (local.get $a2) (i32x4.shr_s
                  (i32x4.shl (local.get $v2) (i32.const 16)) (i32.const 16))))
                (local.set $a3 (i32x4.add (local.get $a3) (i32x4.shr_s
                  (i32x4.shl (local.get $v3) (i32.const 16)) (i32.const 16))))
                (local.set $b0 (i32x4.add (local.get $b0)
                  (i32x4.shr_s (local.get $v0) (i32.const 16))))
                (local.set $b1 (i32x4.add (local.get $b1)
                  (i32x4.shr_s (local.get $v1) (i32.const 16))))
                (local.set $b2 (i32x4.add (local.get $b2)
                  (i32x4.shr_s (local.get $v2) (i32.const 16))))
                (local.set $b3 (i32x4.add (local.get $b3)
                  (i32x4.shr_s (local.get $v3) (i32.const 16))))))
            (local.set $v0 (i16x8.narrow_i32x4_s (local.get $a0) (local.get $b0)))
            (v128.store (local.get $target)
              (i16x8.max_s (v128.const i16x8 -8191 -8191 -8191 -8191 -8191 -8191 -8191 -8191)
                (i16x8.min_s (v128.const i16x8 8191 8191 8191 8191 8191 8191 8191 8191)
                  (i8x16.shuffle 0 1 8 9 2 3 10 11 4 5 12 13 6 7 14 15
                    (local.get $v0) (local.get $v0)))))
            (local.set $v1 (i16x8.narrow_i32x4_s (local.get $a1) (local.get $b1)))
            (v128.store offset=16 (local.get $target)
              (i16x8.max_s (v128.const i16x8 -8191 -8191 -8191 -8191 -8191 -8191 -8191 -8191)
                (i16x8.min_s (v128.const i16x8 8191 8191 8191 8191 8191 8191 8191 8191)
                  (i8x16.shuffle 0 1 8 9 2 3 10 11 4 5 12 13 6 7 14 15
                    (local.get $v1) (local.get $v1)))))
            (local.set $v2 (i16x8.narrow_i32x4_s (local.get $a2) (local.get $b2)))
            (v128.store offset=32 (local.get $target)
              (i16x8.max_s (v128.const i16x8 -8191 -8191 -8191 -8191 -8191 -8191 -8191 -8191)
                (i16x8.min_s (v128.const i16x8 8191 8191 8191 8191 8191 8191 8191 8191)
                  (i8x16.shuffle 0 1 8 9 2 3 10 11 4 5 12 13 6 7 14 15
                    (local.get $v2) (local.get $v2)))))
            (local.set $v3 (i16x8.narrow_i32x4_s (local.get $a3) (local.get $b3)))
            (v128.store offset=48 (local.get $target)
              (i16x8.max_s (v128.const i16x8 -8191 -8191 -8191 -8191 -8191 -8191 -8191 -8191)
                (i16x8.min_s (v128.const i16x8 8191 8191 8191 8191 8191 8191 8191 8191)
                  (i8x16.shuffle 0 1 8 9 2 3 10 11 4 5 12 13 6 7 14 15
                    (local.get $v3) (local.get $v3)))))))
        (local.set $target (i32.add (local.get $target) (local.get $outPlane)))
        (local.set $add (i32.add (local.get $add) (local.get $outPlane)))
        (br_if $pairs
          (i32.lt_u (local.tee $pair (i32.add (local.get $pair) (i32.const 1)))
            (local.get $nPairs))))
      (br_if $pixels
        (i32.lt_u (local.tee $pixel (i32.add (local.get $pixel) (i32.const 16)))
          (local.get $nPixels)))))

  ;; Copy 16-bit values through a table of i16, in rows and columns of any steps.
  (func (export "look_up")
    (param $from i32) (param $fromStep i32) (param $fromRow i32)
    (param $to i32) (param $toStep i32) (param $toRow i32)
    (param $rows i32) (param $columns i32)
    (param $table i32)  ;; where the entry of value 0 is
    (local $n i32) (local $source i32) (local $target i32)
    (loop $each_row
      (local.set $n (local.get $columns))
      (local.set $source (local.get $from))
      (local.set $target (local.get $to))
      (loop $each
        (i32.store16 (local.get $target)
          (i32.load16_s (i32.add (local.get $table)
            (i32.shl (i32.load16_s (local.get $source)) (i32.const 1)))))
        (local.set $source (i32.add (local.get $source) (local.get $fromStep)))
        (local.set $target (i32.add (local.get $target) (local.get $toStep)))
        (br_if $each (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (local.set $from (i32.add (local.get $from) (local.get $fromRow)))
      (local.set $to (i32.add (local.get $to) (local.get $toRow)))
      (br_if $each_row (local.tee $rows (i32.sub (local.get $rows) (i32.const 1))))))

  ;; One row of a pair of channels: x = clip(x + a smaller map, resized to it).
  (func (export "add_resized_row")
    (param $above i32) (param $below i32)  ;; rows of the smaller map
    (param $parts i32)    ;; (256 - a) and a, 16 bits each
    (param $nLow i32)     ;; pixels of these rows
    (param $scratch i32)  ;; 8 bytes for each of them, and 32 more
    (param $x i32)        ;; row of the larger map
    (param $places i32)   ;; for two pixels: i32 from, to, from, to as steps of scratch; i32x4
                          ;; 256 - b, i32x4 b
    (param $n i32)        ;; half as many pixels of the row
    (local $at i32) (local $end i32) (local $p v128) (local $q v128) (local $w v128)
    (local.set $w (i32x4.splat (local.get $parts)))
    (local.set $at (local.get $scratch))
    (local.set $end (i32.add (local.get $scratch) (i32.shl (local.get $nLow) (i32.const 3))))
    (loop $low
      (local.set $p (v128.load (local.get $above)))
      (local.set $q (v128.load (local.get $below)))
      (v128.store (local.get $at) (i32x4.dot_i16x8_s (local.get $w)
        (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $p) (local.get $q))))
      (v128.store offset=16 (local.get $at) (i32x4.dot_i16x8_s (local.get $w)
        (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31
          (local.get $p) (local.get $q))))
      (local.set $above (i32.add (local.get $above) (i32.const 16)))
      (local.set $below (i32.add (local.get $below) (i32.const 16)))
      (br_if $low (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 32)))
        (local.get $end))))
    (loop $columns
      (local.set $p (v128.load64_lane 1
        (i32.add (local.get $scratch) (i32.load offset=8 (local.get $places)))
        (v128.load64_zero (i32.add (local.get $scratch) (i32.load (local.get $places))))))
      (local.set $q (v128.load64_lane 1
        (i32.add (local.get $scratch) (i32.load offset=12 (local.get $places)))
        (v128.load64_zero (i32.add (local.get $scratch) (i32.load offset=4 (local.get $places))))))
      (local.set $p (i32x4.add
        (i32x4.mul (local.get $p) (v128.load offset=16 (local.get $places)))
        (i32x4.mul (local.get $q) (v128.load offset=32 (local.get $places)))))
      (local.set $p (i32x4.shr_s
        (i32x4.add (local.get $p) (v128.const i32x4 32768 32768 32768 32768))
        (i32.const 16)))
      (local.set $p (i32x4.add (local.get $p) (v128.load16x4_s (local.get $x))))
      (v128.store64_lane 0 (local.get $x)
        (i16x8.max_s (v128.const i16x8 -8191 -8191 -8191 -8191 -8191 -8191 -8191 -8191)
          (i16x8.min_s (v128.const i16x8 8191 8191 8191 8191 8191 8191 8191 8191)
            (i16x8.narrow_i32x4_s (local.get $p) (local.get $p)))))
      (local.set $x (i32.add (local.get $x) (i32.const 8)))
      (local.set $places (i32.add (local.get $places) (i32.const 48)))
      (br_if $columns (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
