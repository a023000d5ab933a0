// SPDX-License-Identifier: GPL-2.0

//! What was found, for people: as text, on a screen, as a picture.

pub mod holds;
pub mod paint;
pub mod screen;
pub mod svg;
pub mod text;
