//! The macro behind every enumeration that comes off the wire: a transparent newtype with named constants, so that a
//! value nobody knows yet is kept, not undefined.

macro_rules! open_enum {
    ($(#[$meta:meta])* $vis:vis struct $name:ident($repr:ty) { $($(#[$vmeta:meta])* $value:ident = $number:expr,)* }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout,
        )]
        #[repr(transparent)]
        $vis struct $name(pub $repr);

        impl $name {
            $($(#[$vmeta])* #[doc = concat!("`", stringify!($number), "`")] pub const $value: Self = Self($number);)*
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match *self {
                    $(Self::$value => f.write_str(stringify!($value)),)*
                    _ => write!(f, concat!(stringify!($name), "({:#x})"), self.0),
                }
            }
        }
    };
}
