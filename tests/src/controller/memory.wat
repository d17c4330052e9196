;; What a controller installs in place of a canister to read its stable memory and to write it anew.
(module
  (import "ic0" "msg_arg_data_size" (func $arg_size (result i32)))
  (import "ic0" "msg_arg_data_copy" (func $arg_copy (param i32 i32 i32)))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "stable64_size" (func $size (result i64)))
  (import "ic0" "stable64_grow" (func $grow (param i64) (result i64)))
  (import "ic0" "stable64_read" (func $read (param i64 i64 i64)))
  (import "ic0" "stable64_write" (func $write (param i64 i64 i64)))
  ;; 0: numbers; 65536: a page that is read; 131072: an argument
  (memory (export "memory") 32)

  ;; u64 page → u64 number of pages, then those from that page on that are not empty, at most 16:
  ;; u64 page ‖ its bytes
  (func (export "canister_query pages")
    (local $page i64) (local $left i32) (local $at i32)
    (call $arg_copy (i32.const 0) (i32.const 0) (i32.const 8))
    (local.set $page (i64.load (i32.const 0)))
    (local.set $left (i32.const 16))
    (i64.store (i32.const 8) (call $size))
    (call $append (i32.const 8) (i32.const 8))
    (block $done
      (loop $next
        (br_if $done (i64.ge_u (local.get $page) (call $size)))
        (br_if $done (i32.eqz (local.get $left)))
        (call $read
          (i64.const 65536)
          (i64.mul (local.get $page) (i64.const 65536))
          (i64.const 65536))
        (local.set $at (i32.const 65536))
        (block $looked
          (loop $look
            (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
              (then
                (i64.store (i32.const 16) (local.get $page))
                (call $append (i32.const 16) (i32.const 8))
                (call $append (i32.const 65536) (i32.const 65536))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br $looked)))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (br_if $look (i32.lt_u (local.get $at) (i32.const 131072)))))
        (local.set $page (i64.add (local.get $page) (i64.const 1)))
        (br $next)))
    (call $reply))

  ;; (u64 page ‖ its bytes)* → nothing
  (func (export "canister_update put")
    (local $at i32) (local $end i32) (local $missing i64)
    (call $arg_copy (i32.const 131072) (i32.const 0) (call $arg_size))
    (local.set $at (i32.const 131072))
    (local.set $end (i32.add (i32.const 131072) (call $arg_size)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $missing
          (i64.sub (i64.add (i64.load (local.get $at)) (i64.const 1)) (call $size)))
        (if (i64.gt_s (local.get $missing) (i64.const 0))
          (then (drop (call $grow (local.get $missing)))))
        (call $write
          (i64.mul (i64.load (local.get $at)) (i64.const 65536))
          (i64.extend_i32_u (i32.add (local.get $at) (i32.const 8)))
          (i64.const 65536))
        (local.set $at (i32.add (local.get $at) (i32.const 65544)))
        (br $next)))
    (call $reply))
)
