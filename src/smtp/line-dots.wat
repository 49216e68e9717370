;; The next dot behind CR, LF or NUL, sixteen octets at a time. `npm run wasm` makes line-dots-code.ts of this text; what it finds is
;; what `plainSearch` of line-dots.ts finds.
(module
  (memory (export "memory") 2)

  ;; Searches the octets at $at up to $end, and returns where the dot is, or $end. One octet before $at is looked at, and up to fifteen
  ;; behind $end are loaded.
  (func (export "next") (param $at i32) (param $end i32) (result i32)
    (local $dots v128)
    (local $before v128)
    (local $found i32)
    (block $none
      (loop $more
        (br_if $none (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $dots (i8x16.eq (v128.load (local.get $at)) (v128.const i8x16 46 46 46 46 46 46 46 46 46 46 46 46 46 46 46 46)))
        (if (v128.any_true (local.get $dots))
          (then
            (local.set $before (v128.load (i32.sub (local.get $at) (i32.const 1))))
            (local.set $found
              (i8x16.bitmask
                (v128.and
                  (local.get $dots)
                  (v128.or
                    (i8x16.eq (local.get $before) (v128.const i8x16 13 13 13 13 13 13 13 13 13 13 13 13 13 13 13 13))
                    (v128.or
                      (i8x16.eq (local.get $before) (v128.const i8x16 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10))
                      (i8x16.eq (local.get $before) (v128.const i8x16 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0)))))))
            (if (local.get $found)
              (then
                (local.set $at (i32.add (local.get $at) (i32.ctz (local.get $found))))
                (br_if $none (i32.ge_u (local.get $at) (local.get $end)))
                (return (local.get $at))))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $more)))
    (local.get $end)))
