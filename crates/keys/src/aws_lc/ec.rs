//! Points of P-256 (SP 800-186, 3.2.1.3; SEC 1, 2.3) in aws-lc, for ElGamal, which
//! `aws-lc-rs` does not offer: multiplication, addition, and the point of an X.
//!
//! Multiplication by a scalar below the order takes the same time for each. Like its parent,
//! this file holds no cryptography, only calls.

use aws_lc_sys::{
    BIGNUM, BN_bin2bn, BN_clear_free, EC_GROUP, EC_POINT, EC_POINT_add, EC_POINT_clear_free,
    EC_POINT_invert, EC_POINT_mul, EC_POINT_new, EC_POINT_oct2point, EC_POINT_point2oct,
    EC_POINT_set_compressed_coordinates_GFp, EC_group_p256, ERR_clear_error,
    point_conversion_form_t,
};
use std::ptr::{NonNull, null, null_mut};
use zeroize::Zeroizing;

/// SEC 1, 2.3.3: the first byte of a point that is written with both coordinates.
const UNCOMPRESSED: u8 = 4;
const SEC1_BYTES: usize = 65;

/// A point on the curve that is not infinity, or the result of arithmetic; wiped on drop.
pub(crate) struct Point(NonNull<EC_POINT>);

impl Drop for Point {
    fn drop(&mut self) {
        // SAFETY: this value owns the allocation, and nothing uses it afterwards.
        unsafe { EC_POINT_clear_free(self.0.as_ptr()) };
    }
}

/// A number of 256 bits, wiped on drop.
pub(crate) struct Number(NonNull<BIGNUM>);

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: this value owns the allocation, and nothing uses it afterwards.
        unsafe { BN_clear_free(self.0.as_ptr()) };
    }
}

impl Number {
    /// Reads 32 bytes, the highest first.
    pub(crate) fn new(bytes: &[u8; 32]) -> Option<Self> {
        // SAFETY: pointer and length are of one live array, which is only read; a null result
        // pointer asks for a new allocation.
        let number = unsafe { BN_bin2bn(bytes.as_ptr(), bytes.len(), null_mut()) };
        NonNull::new(number).map(Self)
    }
}

impl Point {
    fn new() -> Option<Self> {
        // SAFETY: the group is a static; the result is a new allocation or null.
        NonNull::new(unsafe { EC_POINT_new(group()) }).map(Self)
    }

    /// Reads X and Y; `None` where they are not of a point on the curve. Infinity has neither.
    pub(crate) fn from_coordinates(bytes: &[u8; 64]) -> Option<Self> {
        let mut sec1 = Zeroizing::new([UNCOMPRESSED; SEC1_BYTES]);
        sec1.get_mut(1..)?.copy_from_slice(bytes);
        let point = Self::new()?;
        // SAFETY: group and point are live, the array is live and only read; without a context
        // aws-lc makes its own. It checks that the point is on the curve.
        let done = unsafe {
            EC_POINT_oct2point(group(), point.ptr(), sec1.as_ptr(), SEC1_BYTES, null_mut())
        };
        whether(done).then_some(point)
    }

    /// The point with this X and an even Y; `None` where the curve has none.
    pub(crate) fn from_x(x: &[u8; 32]) -> Option<Self> {
        let (x, point) = (Number::new(x)?, Self::new()?);
        // SAFETY: group, point and number are live; without a context aws-lc makes its own.
        let done = unsafe {
            EC_POINT_set_compressed_coordinates_GFp(
                group(),
                point.ptr(),
                x.0.as_ptr(),
                0,
                null_mut(),
            )
        };
        whether(done).then_some(point)
    }

    /// The curve's base point, `scalar` times.
    pub(crate) fn base_times(scalar: &Number) -> Option<Self> {
        let point = Self::new()?;
        // SAFETY: group, point and number are live; no other point and no other factor are
        // given; without a context aws-lc makes its own.
        let done = unsafe {
            EC_POINT_mul(group(), point.ptr(), scalar.0.as_ptr(), null(), null(), null_mut())
        };
        whether(done).then_some(point)
    }

    /// This point, `scalar` times.
    pub(crate) fn times(&self, scalar: &Number) -> Option<Self> {
        let point = Self::new()?;
        // SAFETY: group, points and number are live; no factor of the base point is given;
        // without a context aws-lc makes its own.
        let done = unsafe {
            EC_POINT_mul(group(), point.ptr(), null(), self.ptr(), scalar.0.as_ptr(), null_mut())
        };
        whether(done).then_some(point)
    }

    /// The sum of both.
    pub(crate) fn plus(&self, other: &Self) -> Option<Self> {
        let sum = Self::new()?;
        // SAFETY: group and points are live; without a context aws-lc makes its own.
        let done = unsafe { EC_POINT_add(group(), sum.ptr(), self.ptr(), other.ptr(), null_mut()) };
        whether(done).then_some(sum)
    }

    /// What added to this point is infinity.
    pub(crate) fn negated(self) -> Option<Self> {
        // SAFETY: group and point are live, and this value alone owns the point.
        whether(unsafe { EC_POINT_invert(group(), self.ptr(), null_mut()) }).then_some(self)
    }

    /// X and Y; `None` at infinity.
    pub(crate) fn to_coordinates(&self) -> Option<Zeroizing<[u8; 64]>> {
        let mut sec1 = Zeroizing::new([0; SEC1_BYTES]);
        // SAFETY: group and point are live; the output has the room that is told.
        let length = unsafe {
            EC_POINT_point2oct(
                group(),
                self.ptr(),
                point_conversion_form_t::POINT_CONVERSION_UNCOMPRESSED,
                sec1.as_mut_ptr(),
                SEC1_BYTES,
                null_mut(),
            )
        };
        whether(i32::from(length == SEC1_BYTES)).then_some(())?;
        let mut bytes = Zeroizing::new([0; 64]);
        bytes.copy_from_slice(sec1.get(1..)?);
        Some(bytes)
    }

    const fn ptr(&self) -> *mut EC_POINT {
        self.0.as_ptr()
    }
}

fn group() -> *const EC_GROUP {
    // SAFETY: the call takes nothing and returns a static that nothing mutates.
    unsafe { EC_group_p256() }
}

/// Whether a call succeeded. A failure leaves a note in the thread's list of errors, which
/// nobody reads: half of all X have no point, and the list is for what is wrong.
fn whether(done: i32) -> bool {
    if done != 1 {
        // SAFETY: the list belongs to this thread.
        unsafe { ERR_clear_error() };
    }
    done == 1
}
